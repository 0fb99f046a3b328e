// SPDX-License-Identifier: MIT OR Apache-2.0

/// Sets of processors as the Linux kernel writes them.
package enum CPUSet {
    /// More processors than any machine has: a broken file must not fill the memory.
    private static let numberMax = 1 << 20

    /// Reads a list such as `0,2-4,7`.
    ///
    /// White space around the line of the text, and stray bytes behind that, are ignored.
    ///
    /// - Returns: the processors in ascending order, none for an empty line; nil where it is not a list.
    package static func parse(list text: some StringProtocol) -> [Int]? {
        guard let line = KernelFile.line(of: text) else { return nil }
        guard !line.isEmpty else { return [] }
        var numbers: Set<Int> = []
        for part in line.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map {
                $0.allSatisfy { $0.isASCII && $0.isNumber } ? Int($0) : nil
            }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1],
                first <= last, last < numberMax
            else { return nil }
            numbers.formUnion(first...last)
        }
        return numbers.sorted()
    }

    /// Reads a mask such as `00000000,0000ffff`: groups of 32 bits in hexadecimal, the highest first.
    ///
    /// - Returns: the processors in ascending order; nil where it is not a mask.
    package static func parse(mask text: some StringProtocol) -> [Int]? {
        guard let line = KernelFile.line(of: text) else { return nil }
        let groups = line.split(separator: ",", omittingEmptySubsequences: false)
        var numbers: [Int] = []
        for (index, group) in groups.reversed().enumerated() {
            guard (1...8).contains(group.count), group.allSatisfy(\.isHexDigit),
                let bits = UInt32(group, radix: 16), 32 * index < numberMax
            else { return nil }
            numbers += (0..<32).filter { (bits >> $0) & 1 == 1 }.map { 32 * index + $0 }
        }
        return numbers
    }
}
