// SPDX-License-Identifier: MIT OR Apache-2.0

import DataGen
import Foundation
import MPI

/// `dgen-mpi info`: what this program is and what it found on this machine.
struct Info: Encodable {
    struct Library: Encodable {
        let library: String
        let standard: String
        let ioComponents: [String]
        let ioComponentRequested: String
    }

    let format = "dgen-info/1"
    let version = Version.current
    let kernels = Kernel.supported.map(\.rawValue)
    let kernel: String
    let processors = Processors.allowed
    let mpi: Library

    init(_ settings: Settings) throws {
        kernel = try settings.kernel().rawValue
        let components = IOComponents()
        mpi = Library(
            library: MPIRuntime.libraryVersion, standard: MPIRuntime.standardVersion,
            ioComponents: components.available, ioComponentRequested: components.requested)
    }

    var table: Table {
        var table = Table()
        table.row("version", version)
        table.row("kernel", "\(kernel) (of \(kernels.joined(separator: ", ")))")
        table.row("processors", "\(processors)")
        table.row("MPI", "\(mpi.library), standard \(mpi.standard)")
        let available =
            mpi.ioComponents.isEmpty ? "not told" : mpi.ioComponents.joined(separator: ", ")
        let requested = mpi.ioComponentRequested
        table.row(
            "MPI-IO",
            "\(available); "
                + (requested.isEmpty ? "the library chooses" : "\(requested) requested"))
        return table
    }
}
