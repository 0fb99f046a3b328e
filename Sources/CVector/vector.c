// SPDX-License-Identifier: MIT OR Apache-2.0
// SwiftPM wants a source file; the module is its header.
