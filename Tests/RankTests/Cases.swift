// SPDX-License-Identifier: MIT OR Apache-2.0

#if DEBUG
    import DataGen
    import Glibc
    import MPI
    import Options

    @testable import DGen

    /// What a rank found that should not be so.
    struct Wrong: Error {
        let line: Int
        let found: String
    }

    /// Ends the case where two values differ.
    func require<Value: Equatable>(
        _ found: Value, _ expected: Value, line: Int = #line
    ) throws {
        guard found == expected else {
            throw Wrong(line: line, found: "\(found) instead of \(expected)")
        }
    }

    /// The failure that a call throws; ends the case where it throws none.
    func failure(of call: () throws -> Void, line: Int = #line) throws -> Failure {
        do { try call() } catch let failure as Failure { return failure }
        throw Wrong(line: line, found: "no failure")
    }

    /// What the cases work with.
    struct Bench {
        let session: Session
        var world: Ranks { session.world }
        var rank: Int { world.rank }
        var size: Int { world.size }
        var isLast: Bool { rank == size - 1 }
        /// For files, the same on all ranks.
        let folder: String

        /// The sum of all ranks.
        var sumOfRanks: Int { size * (size - 1) / 2 }
    }

    /// A thing that all ranks do together, and that holds for any number of them.
    struct Case: Sendable {
        let name: String
        let run: @Sendable (Bench) throws -> Void

        init(_ name: String, _ run: @escaping @Sendable (Bench) throws -> Void) {
            self.name = name
            self.run = run
        }
    }

    private let communicators = [
        Case("everyRankHasAPlaceOfItsOwn") { bench in
            try require(try bench.world.allReduce(1, .sum), bench.size)
            try require(try bench.world.allReduce(bench.rank, .sum), bench.sumOfRanks)
            try require(try bench.world.allReduce(1 << bench.rank, .sum), 1 << bench.size - 1)
        },
        Case("valuesAreCombinedOneByOne") { bench in
            let mine = [bench.rank, -bench.rank, 7, .max - bench.rank]
            try require(
                try bench.world.allReduce(mine, .maximum), [bench.size - 1, 0, 7, .max])
            try require(
                try bench.world.allReduce(mine, .minimum),
                [0, 1 - bench.size, 7, .max - bench.size + 1])
            try require(try bench.world.allReduce([], .sum), [])
        },
        Case("bytesOfAnyRankReachAll") { bench in
            for root in 0..<bench.size {
                for count in [0, 1, 70_001] {
                    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ root) }
                    let mine = bench.rank == root ? bytes : [1, 2, 3]
                    try require(try bench.world.broadcast(mine, from: root) == bytes, true)
                }
            }
        },
        Case("partsOfDifferentLengthsAreCombinedInOrder") { bench in
            func part(_ rank: Int) -> [UInt8] { Array(repeating: UInt8(rank), count: 3 * rank % 7) }
            try require(
                try bench.world.combine(part(bench.rank)) { $0 + $1 },
                (0..<bench.size).flatMap(part))
            try require(
                try bench.world.combine(numbers: [bench.rank, .min]) { $0 + $1 },
                (0..<bench.size).flatMap { [$0, .min] })
            try require(try bench.world.combine([]) { $0 + $1 }, [])
        },
        Case("whatLowerRanksHaveIsCombined") { bench in
            try require(
                try bench.world.scanBefore(bench.rank + 1, .sum, initial: 0),
                bench.rank * (bench.rank + 1) / 2)
            try require(
                try bench.world.scanBefore(10 - bench.rank, .minimum, initial: 99),
                bench.rank == 0 ? 99 : 11 - bench.rank)
        },
        Case("valuesGoRound") { bench in
            let (next, last) = (
                (bench.rank + 1) % bench.size, (bench.rank + bench.size - 1) % bench.size
            )
            try require(
                try bench.world.exchange(100 + bench.rank, to: next, from: last), 100 + last)
        },
        Case("groupsAreThoseOfOneColour") { bench in
            let (rank, size) = try bench.world.split(color: bench.rank % 2) { ($0.rank, $0.size) }
            try require(rank, bench.rank / 2)
            try require(size, (bench.size + 1 - bench.rank % 2) / 2)
            let turned = try bench.world.ordered(by: bench.size - 1 - bench.rank) { $0.rank }
            try require(turned, bench.size - 1 - bench.rank)
            let sum = try bench.world.split(color: bench.rank % 2) {
                try $0.allReduce(bench.rank, .sum)
            }
            try require(
                sum,
                (0..<bench.size).filter { $0 % 2 == bench.rank % 2 }.reduce(0, +))
            try require(bench.session.node.size, bench.size)
            try require(bench.session.nodeCount, 1)
            try require(bench.session.ranksPerNode, bench.size)
        },
        Case("aDuplicateHasMessagesOfItsOwn") { bench in
            let other = try bench.world.duplicate()
            // Started in another order on each rank.
            let first = bench.rank % 2 == 0 ? bench.world : other
            let second = bench.rank % 2 == 0 ? other : bench.world
            let sums = [try first.startSum([bench.rank]), try second.startSum([1])]
            let wanted = try sums.map { sum in
                while true { if let result = try sum.sums() { return result[0] } }
            }
            // Each group adds up what was given to it, by whichever rank.
            let even = (0..<bench.size).filter { $0 % 2 == 0 }
            let odd = bench.size - even.count
            let ofWorld = even.reduce(0, +) + odd
            let ofOther = even.count + (0..<bench.size).filter { $0 % 2 == 1 }.reduce(0, +)
            try require(wanted, bench.rank % 2 == 0 ? [ofWorld, ofOther] : [ofOther, ofWorld])
        },
        Case("sumsAreThereOnlyWhenAllHaveTold") { bench in
            // The last rank tells when all others have looked in vain.
            if !bench.isLast {
                let sum = try bench.world.startSum([1, bench.rank])
                for _ in 0..<100 { try require(try sum.sums(), nil) }
                _ = try bench.world.exchange(0, to: bench.size - 1, from: bench.size - 1)
                while true {
                    guard let result = try sum.sums() else { continue }
                    try require(result, [bench.size, bench.sumOfRanks])
                    break
                }
            } else {
                for other in 0..<bench.size - 1 {
                    _ = try bench.world.exchange(0, to: other, from: other)
                }
                let sum = try bench.world.startSum([1, bench.rank])
                while true {
                    guard let result = try sum.sums() else { continue }
                    try require(result, [bench.size, bench.sumOfRanks])
                    break
                }
            }
        },
        Case("messagesComeFromWhoeverPostsThem") { bench in
            let tag = 17
            try require(try bench.world.poll(tag: tag) == nil, true)
            try bench.world.barrier()
            var posted: [PendingMessage] = []
            for other in 0..<bench.size where other != bench.rank {
                posted.append(try bench.world.post([UInt8(bench.rank), 9], to: other, tag: tag))
            }
            var heard: Set<Int> = []
            while heard.count < bench.size - 1 {
                guard let (rank, bytes) = try bench.world.poll(tag: tag) else { continue }
                try require(bytes, [UInt8(rank), 9])
                try require(heard.insert(rank).inserted, true)
            }
            try require(posted.count, bench.size - 1)
        },
    ]

    private let sessions = [
        Case("whatRankZeroDoesAllKnow") { bench in
            var calls = 0
            let result = try bench.session.onRoot {
                calls += 1
                return ["it": [1, 2, 3], "other": []]
            }
            try require(result, ["it": [1, 2, 3], "other": []])
            try require(calls, bench.rank == 0 ? 1 : 0)
            try bench.session.onRoot { calls += 1 }
            try require(calls, bench.rank == 0 ? 2 : 0)
        },
        Case("whatRankZeroCannotDoFailsEverywhere") { bench in
            for status in [ExitStatus.usage, .inputOutput, .mismatch] {
                let failed = try failure {
                    let _: Int = try bench.session.onRoot { throw Failure(status, "no \"way\"") }
                }
                try require(failed.status, status)
                try require(failed.message, "no \"way\"")
            }
        },
        Case("nobodyFailsWhereNobodyDid") { bench in
            try bench.session.agree(nil)
            try require(try bench.session.together { bench.rank * 2 }, bench.rank * 2)
        },
        Case("theFailureOfAnyRankIsThatOfAll") { bench in
            for rank in 0..<bench.size {
                let failed = try failure {
                    try bench.session.agree(
                        bench.rank == rank ? Failure(.inputOutput, "disk \(rank)") : nil)
                }
                try require(failed.status, .inputOutput)
                let place = bench.size > 1 ? "rank \(rank) on \(bench.session.host): " : ""
                try require(failed.message, place + "disk \(rank)")
            }
        },
        Case("ofManyFailuresTheLowestRankIsToldAndTheOthersCounted") { bench in
            let failed = try failure {
                try bench.session.together { throw Failure(.usage, "mine \(bench.rank)") }
            }
            try require(failed.status, .usage)
            let (place, others) =
                bench.size > 1
                ? (
                    "rank 0 on \(bench.session.host): ",
                    " (and \(bench.size - 1) more of \(bench.size) ranks)"
                ) : ("", "")
            try require(failed.message, place + "mine 0" + others)
        },
        Case("whatCouldNotBeDoneGoesBeforeAnInterruption") { bench in
            let failed = try failure {
                try bench.session.agree(
                    bench.isLast ? Failure(.mpi, "real") : Failure(.interrupted, "stopped"))
            }
            try require(failed.status, .mpi)
        },
        Case("listsOfAllRanksAreJoinedInOrder") { bench in
            let mine = Array(repeating: "a\n\"\(bench.rank)", count: bench.rank % 3)
            try require(
                try bench.session.collect(mine),
                (0..<bench.size).flatMap { Array(repeating: "a\n\"\($0)", count: $0 % 3) })
        },
        Case("theLargestIsToldWithTheLowestRankThatHasIt") { bench in
            let found = try bench.session.largest(min(bench.rank, 1))
            try require(found.value, min(bench.size - 1, 1))
            try require(found.rank, min(bench.size - 1, 1))
        },
    ]

    private let agreements = [
        Case("bytesOfAllRanksAddUpWhileTheyAreInStep") { bench in
            let agreement = try bench.agreement()
            for round in 1...3 {
                agreement.transfer(10 + bench.rank) {}
                let wish = try agreement.exchangeTogether(wish: bench.rank == 0 ? round : 0)
                try require(wish, round)
                try require(agreement.allDoneBytes, round * (10 * bench.size + bench.sumOfRanks))
                try require(agreement.mustStopTogether, false)
            }
            try agreement.finish()
            try require(agreement.mustStop, false)
            try require(agreement.failure == nil, true)
        },
        Case("ranksThatAreDoneEarlyWaitForTheOthers") { bench in
            let agreement = try bench.agreement()
            for _ in 0..<(bench.isLast ? 400 : 1) {
                agreement.transfer(5) { usleep(1000) }
                try agreement.exchange()
            }
            try agreement.finish()
            try require(agreement.allDoneBytes, 5 * (400 + bench.size - 1))
        },
    ]

    private let files = [
        Case("whatRanksWriteOthersRead") { bench in
            for (layout, access) in [
                (FileLayout.shared, Access.mpi), (.shared, .posix), (.perRank, .mpi),
                (.perRank, .posix),
            ] {
                let files = bench.files("\(layout)-\(access)", layout)
                let how = FileAccess(access: access)
                let mine = files.shards[bench.rank]
                let written = try OpenDataSet(
                    Run(bench.session), files, .createNew, by: how)
                try bench.bytes(mine).withUnsafeBytes { try written.write($0, at: mine.lowerBound) }
                try written.sync()
                try require(try written.size(), files.shards.size)
                try written.close()

                let read = try OpenDataSet(Run(bench.session), files, .read, by: how)
                // Those of the next rank, and some before and behind them.
                let next = files.shards[(bench.rank + 1) % bench.size]
                let range =
                    max(0, next.lowerBound - 10)..<min(next.upperBound + 10, files.shards.size)
                var found = [UInt8](repeating: 0, count: range.count)
                var extents: [OpenDataSet.Extent] = []
                try found.withUnsafeMutableBytes {
                    try read.read(from: range.lowerBound, into: $0) { extents.append($0) }
                }
                try require(found == bench.bytes(range), true)
                try require(extents.allSatisfy { $0.isWhole }, true)
                try require(extents.first?.range.lowerBound, range.lowerBound)
                try require(extents.last?.range.upperBound, range.upperBound)
                try read.close()
            }
        },
        Case("whatIsBehindTheEndIsNotThere") { bench in
            let files = bench.files("short", .shared)
            let data = try OpenDataSet(Run(bench.session), files, .update)
            try bench.session.onRoot { try FileSystem.cut(files.path, to: 1000) }
            try require(try data.size(), 1000)
            var found = [UInt8](repeating: 1, count: 500)
            var extents: [OpenDataSet.Extent] = []
            try found.withUnsafeMutableBytes {
                try data.read(from: 800, into: $0) { extents.append($0) }
            }
            try require(extents.map(\.read), [200])
            try require(extents.map(\.range), [800..<1300])
            try data.close()
        },
        Case("transfersOfAllRanksAreDoneInStepAndNot") { bench in
            let shards = bench.files("", .shared).shards
            for cut in [Cut.segments(1), .strided] {
                for isInStep in [false, true] {
                    let pattern = DealtPattern(shards, transferSize: 1000, cut: cut)
                    let files = bench.files("loop-\(cut)-\(isInStep)", .shared)
                    let data = try OpenDataSet(Run(bench.session), files, .createNew)
                    try bench.loop(pattern, isInStep: isInStep, data) {
                        transfer, part throws(Failure) in
                        try data.write(
                            UnsafeRawBufferPointer(part), at: transfer.range.lowerBound,
                            together: isInStep)
                    }
                    try require(try data.size(), shards.size)
                    try data.close()
                    let read = try OpenDataSet(Run(bench.session), files, .read)
                    var found = [UInt8](repeating: 0, count: shards.size)
                    try found.withUnsafeMutableBytes {
                        try read.read(from: 0, into: $0) { _ in }
                    }
                    try require(found == bench.bytes(0..<shards.size), true)
                    try read.close()
                }
            }
        },
    ]

    /// What fails on one rank, or on all.
    ///
    /// Ranks at their own speed first: once a session knows a failure, they do not begin anything.
    private let failures = [
        Case("aTransferThatFailsOnOneRankEndsTheLoopOnAll") { bench in
            for isInStep in [false, true] {
                let shards = bench.files("", .shared).shards
                let files = bench.files("failing-\(isInStep)", .shared)
                let data = try OpenDataSet(Run(bench.session), files, .createNew)
                let failed = try failure {
                    try bench.loop(
                        DealtPattern(shards, transferSize: 1000), isInStep: isInStep, data
                    ) { transfer, _ throws(Failure) in
                        if bench.isLast, transfer.round == 3 {
                            throw Failure(.inputOutput, "no room")
                        }
                    }
                }
                try require(failed.status, .inputOutput)
                try require(failed.message.hasSuffix("no room"), true)
                try data.close()
            }
        },
        Case("aRankThatFailsStopsThoseInStepInTheSameRound") { bench in
            let agreement = try bench.agreement()
            for round in 0..<4 {
                agreement.transfer(1) { () throws(Failure) in
                    if bench.isLast, round == 2 { throw Failure(.inputOutput, "no room") }
                }
                try agreement.exchangeTogether()
                try require(agreement.mustStopTogether, round >= 2)
            }
            // Whoever failed does nothing more.
            try require(agreement.allDoneBytes, 4 * bench.size - 2)
            try require(agreement.failure?.message, bench.isLast ? "no room" : nil)
            try agreement.finish()
        },
        Case("aFileThatCannotBeOpenedIsOpenOnNoRank") { bench in
            for access in Access.allCases {
                let files = bench.files("missing/f", .shared)
                let failed = try failure {
                    _ = try OpenDataSet(
                        Run(bench.session), files, .read, by: FileAccess(access: access))
                }
                try require(failed.status, .inputOutput)
            }
        },
    ]

    extension Bench {
        /// An operation of all ranks.
        fileprivate func agreement() throws -> Agreement {
            Agreement(Run(session), title: "cases", totalBytes: 1)
        }

        /// The files of a data set in the folder, of a length that no number of ranks divides.
        fileprivate func files(_ name: String, _ layout: FileLayout) -> FileSet {
            FileSet(
                path: "\(folder)/\(name)", layout: layout,
                shards: Shards(size: 60_007, ranks: size, alignment: 512))
        }

        /// What should be at an offset.
        fileprivate func bytes(_ range: Range<Int>) -> [UInt8] {
            range.map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        }

        /// Goes through the transfers of a pattern, which are made with the bytes that should be there.
        fileprivate func loop(
            _ pattern: DealtPattern, isInStep: Bool, _ data: OpenDataSet,
            _ call: (TransferLoop.Transfer, UnsafeMutableRawBufferPointer) throws(Failure) -> Void
        ) throws {
            let batches = Batches(pattern, depth: 1)
            let memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: batches.bufferBytes, alignment: 8)
            defer { memory.deallocate() }
            let relay = Relay([memory], count: batches.count, .beforeTaken) {
                [rank] index, buffer in
                for (place, range) in batches.ranges(index, rank) {
                    for (number, offset) in range.enumerated() {
                        buffer[place + number] = UInt8(
                            truncatingIfNeeded: offset &* 31 &+ offset >> 8)
                    }
                }
            }
            let loop = TransferLoop(
                batches: batches, rank: rank, isInStep: isInStep, agreement: try agreement())
            try loop.run(relay, on: data) { transfer throws(Failure) in
                try loop.move(transfer) { part throws(Failure) in try call(transfer, part) }
            }
        }
    }

    /// Goes through all cases, or those whose names are given.
    func runCases() {
        let arguments = CommandLine.arguments
        guard arguments.count > 1 else {
            print("usage: RankTests FOLDER [CASE ...]")
            exit(2)
        }
        let names = arguments.dropFirst(2)
        let all = communicators + agreements + files + failures + sessions
        do {
            let session = try Session(Launcher(environment()))
            let bench = Bench(session: session, folder: arguments[1])
            for each in all where names.isEmpty || names.contains(each.name) {
                do {
                    try each.run(bench)
                    try session.world.barrier()
                } catch {
                    let text = "\(each.name): rank \(bench.rank) of \(bench.size): \(error)\n"
                    write(2, text, text.utf8.count)
                    // The others wait for this rank: their launcher ends them.
                    _exit(1)
                }
                if bench.rank == 0 { print(each.name) }
            }
            try MPIRuntime.stop()
        } catch {
            let text = "\(error)\n"
            write(2, text, text.utf8.count)
            _exit(1)
        }
    }

    /// The variables that tell of the launcher.
    private func environment() -> [String: String] {
        var all: [String: String] = [:]
        for name in ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK"] {
            if let text = getenv(name) { all[name] = String(cString: text) }
        }
        return all
    }
#endif
