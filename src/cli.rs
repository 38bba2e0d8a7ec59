//! What the commands do. It reads arguments and prints; everything else is asked of the rooms below.
//!
//! Exit codes: 0 for success, 1 for a failure (a bad configuration among them), 2 for a command line
//! that makes no sense, 130 for a run that somebody interrupted, as shells have it.

mod admin_client;
pub mod check;
pub mod demo;
pub mod deploy;
pub mod explain;
pub mod purge;
mod replay;
pub mod run;
mod server;
pub mod warm;

use crate::config::ConfigError;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "breadbox", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Demo(demo::Args),
    Purge(purge::Args),
    Explain(explain::Args),
    Warm(warm::Args),
    Deploy(deploy::Args),
}

/// Somebody has interrupted the command; it ended in good order, with more to do.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {0}")]
struct Interrupted(&'static str);

/// What a shell reports of a program that SIGINT has ended.
const INTERRUPTED: u8 = 128 + 2;

/// Carries out the command that `args` name (the program's own name first) and answers with its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match Cli::try_parse_from(args) {
        Ok(cli) => cli.command,
        Err(refusal) => return show(&refusal),
    };
    let result = match command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(&args, &mut std::io::stdout()),
        Command::Demo(args) => demo::demo(&args),
        Command::Purge(args) => purge::purge(&args, &mut std::io::stdout()),
        Command::Deploy(args) => deploy::deploy(&args, &mut std::io::stdout()),
        Command::Warm(args) => warm::warm(&args, &mut std::io::stdout()),
        Command::Explain(args) => explain::explain(&args, &mut std::io::stdout()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// Prints help or what is wrong with the arguments.
fn show(refusal: &clap::Error) -> ExitCode {
    // A closed pipe at the other end is nothing that could be reported anywhere.
    let _ = refusal.print();
    ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(2))
}

/// Prints what went wrong. Mistakes in a configuration name their file themselves, one a line.
fn report(error: &anyhow::Error) -> ExitCode {
    let mut stderr = std::io::stderr();
    // As above: where stderr is gone, the exit code still tells.
    let _ = match error.downcast_ref::<ConfigError>() {
        Some(mistakes) => writeln!(stderr, "{mistakes}"),
        None => writeln!(stderr, "breadbox: {error:#}"),
    };
    if error.is::<Interrupted>() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_line_that_makes_no_sense_is_a_usage_error() {
        for line in [
            "breadbox",
            "breadbox bake",
            "breadbox run --config a.yaml --origin http://127.0.0.1:3000",
            "breadbox run --listen 127.0.0.1:8080",
            "breadbox run --origin http://127.0.0.1:3000 --watch",
            "breadbox run --origin 127.0.0.1:3000",
            "breadbox run --origin http://127.0.0.1:3000/shop",
            "breadbox run --origin http://127.0.0.1:3000 --listen 8080",
            "breadbox check proxy.yaml",
            "breadbox demo --config proxy.yaml",
            "breadbox purge",
            "breadbox purge --path /a --all",
            "breadbox explain",
            "breadbox warm / --concurrency 0",
            "breadbox explain / --offline --admin http://127.0.0.1:9145",
        ] {
            let refusal = Cli::try_parse_from(line.split(' ')).err().expect(line);
            assert_eq!(refusal.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_commands_of_the_contract_are_taken() {
        for line in [
            "breadbox run",
            "breadbox run --config shop.yaml",
            "breadbox run --watch --config shop.yaml",
            "breadbox run --upgrade",
            "breadbox run --origin http://127.0.0.1:3000",
            "breadbox run --origin https://shop.example.com --listen [::]:8080",
            "breadbox check",
            "breadbox check --config shop.yaml",
            "breadbox check --replay access.log.gz",
            "breadbox demo",
            "breadbox demo --listen 127.0.0.1:0 --admin 127.0.0.1:0",
            "breadbox purge --path /a --mode delete",
            "breadbox purge --prefix /a/ --admin http://127.0.0.1:9145 --token t",
            "breadbox purge --tag a b --config shop.yaml",
            "breadbox purge --all",
            "breadbox explain /p --header A:b --header C:d --cookie e=f --config shop.yaml",
            "breadbox explain http://a.test/ --admin http://127.0.0.1:9145 --token t",
            "breadbox explain /p --offline",
            "breadbox warm",
            "breadbox warm /a /b?c --file list.txt --file - --sitemap /sitemap.xml --sitemap https://a.test/s.xml.gz",
            "breadbox warm /a --url https://127.0.0.1:8443 --ca ca.pem --host a.test --host b.test --header A:b",
            "breadbox warm /a --concurrency 64 --state done --config shop.yaml",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
