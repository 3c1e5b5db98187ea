//! A process that waits gives back what it has looked at of its own program: the loader reads megabytes of relocations, and
//! each page of code that is touched maps its neighbours too. The pages are the file's; what is needed again is mapped again.

use std::ffi::{c_int, c_void};

/// Unmaps this process's code and constants until they are next needed.
pub(super) fn give_back() {
    // SAFETY: the callback keeps to what dl_iterate_phdr(3) promises of its arguments.
    unsafe {
        libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut());
    }
}

unsafe extern "C" fn forget(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader hands over a description that is valid during the call, with so many program headers.
    let (base, headers) = unsafe {
        let object = &*object;
        if object.dlpi_phdr.is_null() {
            return 0;
        }
        (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
    };
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let start = (base + header.p_vaddr) & !(page - 1);
        let end = base + header.p_vaddr + header.p_memsz;
        let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(end - start)) else { continue };
        // SAFETY: the segment was never writable, so every page of it is as the file has it, and comes from there again.
        unsafe {
            libc::madvise(std::ptr::with_exposed_provenance_mut(start), length, libc::MADV_DONTNEED);
        }
    }
    0
}
