//! What the allocator keeps that nobody uses.
//!
//! A login takes 19 MiB for a moment and a batch of 100,000 operations some hundred. glibc keeps such blocks for the next
//! time, because it raises the size from which on a block is the system's own to that of the largest block it has freed:
//! an idle daemon then had 35 MB instead of 16. Other C libraries give back what is freed.

/// From this size on a block goes back to the system when it is freed, in bytes.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 1 << 20;

/// Large blocks go back when they are freed; called once, before there are other threads.
pub(super) fn give_large_blocks_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt changes a number that malloc reads, and nothing else runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
    }
}

/// Small blocks that are free go back now.
pub(super) fn give_free_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
