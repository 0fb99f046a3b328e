// SPDX-License-Identifier: MIT OR Apache-2.0

#if canImport(Glibc)
    internal import Glibc
#endif

/// How large the caches of this machine are.
enum CacheSize {
    /// Buffers of this length and more are filled past the caches.
    ///
    /// Half of the last cache, which other processors use too. Measured with `dgen-mpi bench` on a Zen 3
    /// server with 32 MiB: ordinary stores are as fast up to 8 MiB, and leave the bytes where the next
    /// step finds them; from 24 MiB on stores past the caches are 1.05 (incompressible) to 1.5 times as
    /// fast (compress ratio 4).
    static let pastCacheMin: Int = {
        #if canImport(Glibc)
            let last = sysconf(Int32(_SC_LEVEL3_CACHE_SIZE))
        #else
            let last = 0
        #endif
        // Virtual machines may tell nothing, or the caches of all their processors as one.
        return min(max(last / 2, 8 << 20), 32 << 20)
    }()
}
