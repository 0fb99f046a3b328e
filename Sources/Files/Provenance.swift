// SPDX-License-Identifier: MIT OR Apache-2.0

package import DataGen
import Glibc

/// What a file shows of where it comes from, by samples of its bytes: a manifest may stand beside a file that it does not
/// speak of.
package enum Provenance {
    /// It is not there, is empty, or has nothing but zeros in the places that were looked at.
    case nothing
    /// Some of it can only have come from one of the data sets.
    case ours
    /// It has bytes, and none of those that were looked at are of a data set.
    case foreign

    /// How many bytes in a row show it: 2^-128 is the chance that others are the same.
    private static let proofBytes = 16
    /// How many places are looked at, and how much of each.
    private static let placesMax = 1024
    private static let placeBytes = 4096

    /// Looks at a file of so many bytes that should hold `range` of one of the data sets: the one that should be there, and those that may have
    /// been there before it; bytes beyond the end of one are not its.
    ///
    /// - Complexity: 4 MiB at most are read, and made for each of the specifications.
    package static func of(
        _ path: String, bytes: Int?, _ range: Range<Int>, specs: [DataSpec], kernel: Kernel
    ) throws(Failure) -> Provenance {
        guard let size = bytes, size > 0 else { return .nothing }
        let file = try OpenFile(path, O_RDONLY, or: "cannot be opened")
        var generators = specs.map { Generator($0, kernel: kernel) }
        let found = UnsafeMutableRawBufferPointer.allocate(byteCount: placeBytes, alignment: 64)
        let right = UnsafeMutableRawBufferPointer.allocate(byteCount: placeBytes, alignment: 64)
        defer {
            found.deallocate()
            right.deallocate()
        }
        let pages = size / placeBytes + (size % placeBytes == 0 ? 0 : 1)
        let places = min(pages, placesMax)
        var isEmpty = true
        for number in 0..<places {
            // Evenly, with the first and the last; the quotient first, so that it does not grow too large.
            let (each, rest) = (pages - 1).quotientAndRemainder(dividingBy: max(places - 1, 1))
            let page = number * each + number * rest / max(places - 1, 1)
            let offset = page * placeBytes
            let count = try file.read(into: found, at: offset)
                .get(path, "cannot be read at offset \(offset)")
            let bytes = UnsafeRawBufferPointer(rebasing: found[..<count])
            guard bytes.contains(where: { $0 != 0 }) else { continue }
            isEmpty = false
            for index in generators.indices {
                let start = range.lowerBound + offset
                let end = min(range.upperBound, generators[index].spec.size, start + count)
                guard start < end else { continue }
                let made = UnsafeMutableRawBufferPointer(rebasing: right[..<(end - start)])
                generators[index].fill(made, at: start)
                if shows(bytes, UnsafeRawBufferPointer(made)) { return .ours }
            }
        }
        return isEmpty ? .nothing : .foreign
    }

    /// Whether so many bytes in a row are the same that chance is out of the question; zeros show nothing.
    private static func shows(_ found: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer)
        -> Bool
    {
        let count = min(found.count, right.count)
        // A file that is shorter than that is right as a whole.
        let wanted = min(proofBytes, count)
        var same = 0
        for place in 0..<count {
            guard found[place] == right[place] else {
                same = 0
                continue
            }
            if right[place] != 0 { same += 1 }
            if same == wanted { return true }
        }
        return false
    }
}
