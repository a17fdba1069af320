//! The binary; see the library of the same name.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Facts are many small values that threads share. The system's allocator takes a tenth longer for them, musl's far more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ormend::main()
}
