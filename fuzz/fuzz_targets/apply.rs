//! From the bytes of a plan to the new content of files. Whatever the bytes are: no panic, no file outside of the project or of
//! git's, bytes outside of edits stay, and what parses still parses.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

/// A project that the seeds are plans of.
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/project");

fuzz_target!(|data: &[u8]| ormend::fuzzing::apply(data, Path::new(PROJECT)));
