//! The binary; see the library of the same name.

use std::process::ExitCode;

/// Facts are many small values, and musl's own allocator makes the threads that need them wait for each other.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ormend::main()
}
