// SPDX-License-Identifier: MIT OR Apache-2.0

internal import DGen

Program.main()
