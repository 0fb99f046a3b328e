// SPDX-License-Identifier: MIT OR Apache-2.0

import Checksums
import TestSupport
import Testing

@Suite struct CyclicCodeTests {
    static let codes = [CyclicCode.crc64nvme, .crc32c, .crc32]

    /// A check as its definition has it, a bit at a time: nothing of it is shared with the code under test.
    private static func definition(
        _ code: CyclicCode, _ bytes: some Sequence<UInt8>, from start: UInt64
    ) -> UInt64 {
        var reversed: UInt64 = 0
        for bit in 0..<code.width where code.polynomial >> UInt64(bit) & 1 == 1 {
            reversed |= 1 << UInt64(code.width - 1 - bit)
        }
        return bytes.reduce(start) { state, byte in
            (0..<8).reduce(state ^ UInt64(byte)) { word, _ in
                word >> 1 ^ (word & 1 == 1 ? reversed : 0)
            }
        }
    }

    private static func bytes(_ count: Int, _ numbers: inout RandomNumbers) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
    }

    /// "123456789", as the catalogue of parametrised CRC algorithms (reveng) and the RFCs of the digests have it.
    @Test(
        arguments: [
            (ChecksumAlgorithm.crc64nvme, "ae8b14860a799888"), (.crc32c, "e3069283"),
            (.crc32, "cbf43926"), (.md5, "25f9e794323b453885f5181f1b624d0b"),
            (.sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ], RemainderKernel.supported)
    func checkValuesAreThoseThatArePublished(
        algorithm: (ChecksumAlgorithm, String), kernel: RemainderKernel
    ) {
        let found = Array("123456789".utf8).withUnsafeBytes {
            algorithm.0.checksum(of: $0, kernel: kernel)
        }
        #expect(ChecksumText.hex(found) == algorithm.1)
    }

    @Test func everyLengthHasTheRemainderOfItsDefinition() {
        var numbers = RandomNumbers()
        let bytes = Self.bytes(1400, &numbers)
        for code in Self.codes {
            // Around all lengths at which a kernel goes another way, and not only from an even place.
            let some = (0..<40).map { _ in numbers.number(below: 1397) }
            for count in Array(0..<150) + Array(505..<525) + Array(570..<595) + some {
                let start = count % 4
                let state = numbers.next() >> UInt64(64 - code.width)
                let part = bytes[start..<start + count]
                let truth = Self.definition(code, part, from: state)
                for kernel in RemainderKernel.supported {
                    let found = part.withUnsafeBytes {
                        code.remainder(state, then: $0, kernel: kernel)
                    }
                    #expect(found == truth, "\(count) bytes, \(kernel), \(numbers)")
                }
            }
        }
    }

    @Test(arguments: RemainderKernel.supported)
    func longMessagesHaveTheRemainderOfTheScalarTruth(kernel: RemainderKernel) {
        var numbers = RandomNumbers()
        let bytes = Self.bytes(200_000, &numbers)
        // A watched build takes a second for each.
        for _ in 0..<TestForm.rounds(4, whole: 400, watched: 40) {
            let start = numbers.number(below: 1000)
            let end = start + numbers.number(below: bytes.count - start)
            for code in Self.codes {
                let (truth, found) = bytes[start..<end].withUnsafeBytes {
                    (
                        code.remainder(then: $0, kernel: .scalar),
                        code.remainder(then: $0, kernel: kernel)
                    )
                }
                #expect(found == truth, "\(start)..<\(end), \(numbers)")
            }
        }
    }

    @Test(arguments: RemainderKernel.supported)
    func checksumsOfPartsAreJoined(kernel: RemainderKernel) {
        var numbers = RandomNumbers()
        for _ in 0..<TestForm.rounds(25, whole: 2000, watched: 250) {
            let bytes = Self.bytes(numbers.number(below: 3000), &numbers)
            let cut = numbers.number(below: bytes.count + 1)
            let count = numbers.number(below: 20)
            for code in Self.codes {
                let truth = Self.definition(code, bytes, from: .max >> UInt64(64 - code.width))
                let ones = UInt64.max >> UInt64(64 - code.width)
                bytes.withUnsafeBytes { all in
                    let (first, second) = (all[..<cut], all[cut...])
                    func part(_ part: Slice<UnsafeRawBufferPointer>) -> UInt64 {
                        code.checksum(of: UnsafeRawBufferPointer(rebasing: part), kernel: kernel)
                    }
                    let joined = code.combine(
                        part(first), part(second), bytes: second.count, kernel: kernel)
                    #expect(joined == truth ^ ones, "\(numbers)")
                    let remainder = code.remainder(then: all, kernel: kernel)
                    #expect(
                        code.checksum(remainder, bytes: all.count, kernel: kernel) == truth ^ ones)
                    var again: UInt64 = 0
                    for _ in 0..<count { again = code.remainder(again, then: all, kernel: kernel) }
                    let repeated = code.repeated(
                        remainder, bytes: all.count, count: count, kernel: kernel)
                    #expect(repeated == again, "\(count) times, \(numbers)")
                }
            }
        }
    }

    /// A period of the polynomial is not at hand, but what is moved in two ways must come to one place.
    @Test(arguments: RemainderKernel.supported)
    func distancesOfExabytesAddUp(kernel: RemainderKernel) {
        var numbers = RandomNumbers()
        for code in Self.codes {
            for _ in 0..<20 {
                let remainder = numbers.next() >> UInt64(64 - code.width)
                let (one, other) = (Int(numbers.next() >> 2), Int(numbers.next() >> 2))
                let moved = code.move(
                    code.move(remainder, by: one, kernel: kernel), by: other, kernel: kernel)
                #expect(moved == code.move(remainder, by: one + other, kernel: kernel))
                #expect(
                    code.multiply(
                        code.distance(one, kernel: kernel), code.distance(other, kernel: kernel),
                        kernel: kernel) == code.distance(one + other, kernel: kernel))
            }
        }
    }

    @Test func everyMachineHasTheScalarTruthAndTables() {
        #expect(RemainderKernel.supported.starts(with: [.scalar, .tables]))
        #expect(RemainderKernel.supported.last == .fastest)
        #expect(RemainderKernel.allCases.allSatisfy { $0.orNext.isSupported })
    }
}
