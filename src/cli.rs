//! The command line, as types. What the words mean is decided elsewhere.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Converges hosts from Rhai scripts; its dry run is the truth.
///
/// `veza-play envs/prod.rhai` applies an env file to its hosts. With `--check`
/// it says what that would do, and with `--sandbox` it does it to virtual
/// hosts kept in a directory.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do, if not to apply.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Applying, or predicting that.
    #[command(flatten)]
    pub apply: Apply,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the script or the command line is wrong
  2   changes are pending (with --check --exit-code)
  3   a task failed
  4   a host could not be reached
  70  a bug of veza-play
  130 interrupted";

/// What `veza-play FILE` takes.
#[derive(Debug, Args)]
pub struct Apply {
    /// The env file: hosts, groups and plays
    #[arg(value_name = "FILE", required = true)]
    pub file: Option<PathBuf>,
    /// Change nothing: predict what would be done, with diffs
    #[arg(long, short = 'C')]
    pub check: bool,
    /// With --check: exit with 2 when changes are pending
    #[arg(long, requires = "check")]
    pub exit_code: bool,
    /// Which hosts.
    #[command(flatten)]
    pub selection: Selection,
    /// How it is shown.
    #[command(flatten)]
    pub look: Look,
    /// Only tasks and plays with one of these tags
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No tasks or plays with one of these tags
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub skip_tags: Vec<String>,
}

/// Which hosts, with which variables.
#[derive(Debug, Args)]
pub struct Selection {
    /// Use virtual hosts kept in DIR [default: .sandbox in the project]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub sandbox: Option<Option<PathBuf>>,
    /// Only hosts that PATTERN selects: names, groups, `a,b`, `!c`, `web*`, `all`
    #[arg(long, short = 'l', value_name = "PATTERN")]
    pub limit: Option<String>,
    /// Set a variable; it wins over all others. VALUE is JSON, or else text.
    /// It is no secret: everybody on this machine can read it
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What opens secrets.
    #[command(flatten)]
    pub keys: Keys,
    /// How many hosts at once
    #[arg(long, short = 'f', value_name = "N", default_value_t = 50, value_parser = at_least_one())]
    pub forks: usize,
}

/// What opens files of secrets.
#[derive(Clone, Debug, Default, Args)]
pub struct Keys {
    /// A private key of SSH or age [default: ~/.config/veza-play/identity,
    /// ~/.ssh/id_ed25519, ~/.ssh/id_rsa]
    #[arg(
        long,
        value_name = "FILE",
        env = "VEZA_IDENTITY",
        value_delimiter = ':'
    )]
    pub identity: Vec<PathBuf>,
    /// The password of ansible-vault [default: $ANSIBLE_VAULT_PASSWORD_FILE]
    #[arg(long, value_name = "FILE", env = "VEZA_VAULT_PASSWORD_FILE")]
    pub vault_password_file: Option<PathBuf>,
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// How the run is shown.
#[derive(Debug, Args)]
pub struct Look {
    /// Show what changes line by line (the default)
    #[arg(long, short = 'D', overrides_with = "no_diff")]
    pub diff: bool,
    /// Only name what changes
    #[arg(long)]
    pub no_diff: bool,
    /// Lines for people, or one JSON object for each event
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Human)]
    pub output: Output,
    /// Show unchanged tasks too, which files were used, and nothing shortened
    #[arg(long, short)]
    pub verbose: bool,
}

/// The format of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Everything but applying.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check scripts without connecting to any host
    Lint {
        /// Env files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show modules, roles and functions, or one of them with all it takes
    Doc {
        /// A module, role or function; all are listed if not given
        name: Option<String>,
        /// The project whose roles are meant: any file or folder in it
        #[arg(long, value_name = "PATH", default_value = ".")]
        project: PathBuf,
    },
    /// Show hosts, groups and variables of an env file
    Hosts {
        /// The env file
        file: PathBuf,
        /// Only hosts that PATTERN selects
        #[arg(default_value = "all")]
        pattern: String,
        /// Set a variable
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// Lines for people, or JSON
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Human)]
        output: Output,
    },
    /// Keep secrets in files, encrypted with age
    ///
    /// Names are readable, each value is encrypted by itself for the recipients
    /// of the file: keys of age or SSH. A script says which files it uses with
    /// `secrets("secrets/prod.toml")`, and means a value with `secret("name")`.
    /// Files of ansible-vault can be viewed, listed and used as they are.
    Vault {
        /// What to do
        #[command(subcommand)]
        command: Vault,
    },
    /// Run one command on hosts
    Exec {
        /// The env file
        file: PathBuf,
        /// Which hosts
        pattern: String,
        /// The command, after `--`
        #[arg(last = true, required = true, value_name = "COMMAND")]
        words: Vec<String>,
        /// Run it as another user, through sudo
        #[arg(long = "become-user", value_name = "USER")]
        user: Option<String>,
        /// Which hosts.
        #[command(flatten)]
        selection: Selection,
    },
}

/// What `vault` can do.
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Set a secret: the value is read from standard input, or asked for
    ///
    /// One newline at the end is dropped from a value of a single line.
    Set {
        /// The file; a new one needs recipients
        file: PathBuf,
        /// The name of the secret
        name: String,
        /// For a new file: who can read it, as a public key or a file of them
        #[arg(long, short, value_name = "KEY")]
        recipient: Vec<String>,
    },
    /// Show secrets in clear
    View {
        /// The file
        file: PathBuf,
        /// Only this one, as it is
        name: Option<String>,
        /// What opens it.
        #[command(flatten)]
        keys: Keys,
    },
    /// Change secrets in $EDITOR
    ///
    /// What is not changed stays as it is in the file.
    Edit {
        /// The file
        file: PathBuf,
        /// Only this one, as it is
        name: Option<String>,
        /// What opens it.
        #[command(flatten)]
        keys: Keys,
    },
    /// Show the names of secrets, and who can read them
    List {
        /// The file
        file: PathBuf,
    },
    /// Remove a secret
    Rm {
        /// The file
        file: PathBuf,
        /// Its name
        name: String,
    },
    /// Encrypt all secrets anew
    ///
    /// Who is no recipient any more still has what he could read: change the
    /// secrets themselves too.
    Rekey {
        /// The file
        file: PathBuf,
        /// Who can read it from now on [default: the recipients in the file]
        #[arg(long, short, value_name = "KEY")]
        recipient: Vec<String>,
        /// What opens it.
        #[command(flatten)]
        keys: Keys,
    },
}
