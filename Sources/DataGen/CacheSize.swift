// SPDX-License-Identifier: MIT OR Apache-2.0

#if canImport(Glibc)
    internal import Glibc
#endif

/// How large the caches of this machine are.
enum CacheSize {
    /// Buffers of this length and more are filled past the caches.
    static let pastCacheMin = 32 << 20
}
