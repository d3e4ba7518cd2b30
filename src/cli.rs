//! What the command line looks like. It reads wishes; whether they can be granted is the settings' business.

use crate::commands::{
    BackupCommand, BanCommand, CertCommand, CheckCommand, ExportCommand, GcCommand, RestoreCommand,
    UserCommand,
};
use chatwire::config::Sources;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A self-hosted chat server. Without a command it serves.
///
/// A setting comes from a flag, else from its environment variable (CHATWIRE_LIMITS_TEXT_BYTES for
/// limits.text_bytes), else from the file, else it has its default. `chatwire config` lists them all.
#[derive(Debug, Parser)]
#[command(name = "chatwire", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<With>,
    #[command(flatten)]
    wishes: Wishes,
}

#[derive(Debug, Subcommand)]
enum With {
    /// Serve until SIGTERM or Ctrl-C.
    Serve(Wishes),
    /// Print every setting that is in force and where it came from, as TOML.
    Config(Wishes),
    /// Make a certificate and its key, to try TLS with.
    Cert(CertCommand),
    /// Add, list, disable and delete users, on a server that is running too.
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        folder: Folder,
    },
    /// Keep users and addresses out, of a server that is running too.
    Ban {
        #[command(subcommand)]
        command: BanCommand,
        #[command(flatten)]
        folder: Folder,
    },
    /// Copy all data into an empty folder, as of one moment, and check the copy. Beside a server that is running too.
    Backup {
        #[command(flatten)]
        command: BackupCommand,
        #[command(flatten)]
        folder: Folder,
    },
    /// Make data of a backup, in the empty folder that --data names.
    Restore {
        #[command(flatten)]
        command: RestoreCommand,
        #[command(flatten)]
        folder: Folder,
    },
    /// Write all data but secrets into an empty folder, as lines of JSON and files, for other programs to read.
    Export {
        #[command(flatten)]
        command: ExportCommand,
        #[command(flatten)]
        folder: Folder,
    },
    /// Remove what nobody needs: files that a crash has left, uploads that nobody sends. Beside a server that is
    /// running too.
    Gc {
        #[command(flatten)]
        command: GcCommand,
        #[command(flatten)]
        folder: Folder,
    },
    /// Look whether the data is sound, and change nothing. Beside a server that is running too.
    ///
    /// Says what is wrong and what to do, and ends with 1 if anything is.
    Check {
        #[command(flatten)]
        command: CheckCommand,
        #[command(flatten)]
        folder: Folder,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve.
    Serve,
    /// Print the settings.
    Config,
    /// Make a certificate.
    Cert(CertCommand),
    /// Something with users.
    User(UserCommand),
    /// Something with bans.
    Ban(BanCommand),
    /// Look whether the data is sound.
    Check(CheckCommand),
    /// Clear up.
    Gc(GcCommand),
    /// Copy the data.
    Backup(BackupCommand),
    /// Make data of a copy.
    Restore(RestoreCommand),
    /// Write the data for others.
    Export(ExportCommand),
}

/// Where the data is: what of the settings matters to the operator's commands.
#[derive(Args, Debug, Default)]
struct Folder {
    /// The TOML file of settings, for the folder in it.
    #[arg(long, global = true, value_name = "FILE", env = "CHATWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// The folder that everything is kept in: --set data=DIR.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// A setting, such as data=DIR. May be given many times.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

#[derive(Args, Debug, Default)]
struct Wishes {
    /// The TOML file of settings.
    #[arg(long, value_name = "FILE", env = "CHATWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// The folder that everything is kept in: --set data=DIR.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where clients connect: --set listen.tcp=ADDR.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// A setting, such as limits.text_bytes=64KiB. May be given many times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

impl Cli {
    /// What is to be done, and where its settings are to be found.
    pub(crate) fn into_command(self) -> (Command, Sources) {
        match self.command {
            None => (Command::Serve, self.wishes.into_sources()),
            Some(With::Serve(wishes)) => (Command::Serve, wishes.into_sources()),
            Some(With::Config(wishes)) => (Command::Config, wishes.into_sources()),
            Some(With::Cert(command)) => (Command::Cert(command), Sources::default()),
            Some(With::User { command, folder }) => (Command::User(command), folder.into_sources()),
            Some(With::Ban { command, folder }) => (Command::Ban(command), folder.into_sources()),
            Some(With::Gc { command, folder }) => (Command::Gc(command), folder.into_sources()),
            Some(With::Backup { command, folder }) => (Command::Backup(command), folder.into_sources()),
            Some(With::Export { command, folder }) => (Command::Export(command), folder.into_sources()),
            Some(With::Restore { command, folder }) => (Command::Restore(command), folder.into_sources()),
            Some(With::Check { command, folder }) => (Command::Check(command), folder.into_sources()),
        }
    }
}

impl Folder {
    fn into_sources(self) -> Sources {
        let Folder { config, data, set } = self;
        Wishes { config, data, listen: None, set }.into_sources()
    }
}

impl Wishes {
    fn into_sources(self) -> Sources {
        let set = self.set.into_iter().map(|(key, value)| ("--set", key, value));
        let data = self.data.map(|dir| ("--data", "data".to_string(), dir));
        let listen = self.listen.map(|address| ("--listen", "listen.tcp".to_string(), address));
        Sources {
            file: self.config,
            variables: std::env::vars_os().collect(),
            flags: set.chain(data).chain(listen).collect(),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    Ok((key.trim().into(), value.trim().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(args: &[&str]) -> (Command, Sources) {
        let args = ["chatwire"].iter().chain(args);
        Cli::try_parse_from(args).unwrap().into_command()
    }

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_is_done_without_a_command() {
        let flags =
            ["--set", "limits.connections=1", "--listen", "[::1]:0", "--data", "a b", "--set", "x = y=z"];
        let want = [
            ("--set", "limits.connections", "1"),
            ("--set", "x", "y=z"),
            ("--data", "data", "a b"),
            ("--listen", "listen.tcp", "[::1]:0"),
        ];
        let want = want.map(|(flag, key, value)| (flag, key.to_string(), value.to_string()));
        for (before, command) in
            [(&[][..], Command::Serve), (&["serve"], Command::Serve), (&["config"], Command::Config)]
        {
            let (done, sources) = parsed(&[before, &flags].concat());
            assert_eq!((done, &sources.flags[..]), (command, &want[..]));
        }
    }
}
