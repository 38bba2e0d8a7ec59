//! Arguments in, exit code out.

use std::process::ExitCode;

/// Pages come and go in all sizes, and what they leave behind is to go back to the system (ARCHITECTURE.md); how soon,
/// `.cargo/config.toml` says.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    breadbox::cli::main(std::env::args_os())
}
