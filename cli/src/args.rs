//! The command line. One file for each verb is in `command`; here is what is typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::resolve::Flags;

/// A coding agent whose every capability is an MCP tool.
#[derive(Debug, Parser)]
#[command(name = "codex", version, subcommand_precedence_over_arg = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// A prompt for the interactive screen (not there yet).
    #[arg(value_name = "PROMPT", trailing_var_arg = true)]
    pub(crate) prompt: Vec<String>,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Global {
    /// Set a key of the configuration; the value is TOML, or else a plain string.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", global = true)]
    pub(crate) config: Vec<String>,

    /// Take settings from `[profiles.NAME]` of config.toml.
    #[arg(short = 'p', long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,

    /// Work in this folder.
    #[arg(short = 'C', long = "cd", value_name = "DIR", global = true)]
    pub(crate) cd: Option<PathBuf>,

    /// What commands may do: read-only, workspace-write or danger-full-access.
    #[arg(short = 's', long, value_name = "MODE", global = true)]
    pub(crate) sandbox: Option<String>,

    /// The model to ask.
    #[arg(short = 'm', long, value_name = "MODEL", global = true)]
    pub(crate) model: Option<String>,

    /// When to ask before commands run: untrusted, on-failure, on-request or never.
    #[arg(short = 'a', long = "ask-for-approval", value_name = "POLICY", global = true)]
    pub(crate) approval: Option<String>,

    /// Ask a model that runs on this machine (Ollama, on its usual port).
    #[arg(long, global = true)]
    pub(crate) oss: bool,
}

impl Global {
    /// Whether any was given.
    pub(crate) fn is_set(&self) -> bool {
        let texts = [&self.profile, &self.sandbox, &self.model, &self.approval];
        !self.config.is_empty() || self.cd.is_some() || self.oss || texts.iter().any(|text| text.is_some())
    }

    /// The part that settings are made of.
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            profile: self.profile.clone(),
            model: self.model.clone(),
            sandbox: self.sandbox.clone(),
            approval: self.approval.clone(),
            oss: self.oss,
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the agent and its tools to an MCP client, on stdin and stdout.
    McpServer(McpServer),
    /// Work on one task without a screen: progress on stderr, the answer on stdout.
    #[command(visible_alias = "e")]
    Exec(Exec),
    /// List the tools, or call one, without any model.
    Tool {
        #[command(subcommand)]
        verb: Tool,
    },
    /// Run a command as the agent's commands are run: under the sandbox, with their environment.
    #[command(subcommand_precedence_over_arg = true)]
    Sandbox(Sandbox),
    /// Older names of `codex sandbox`.
    #[command(hide = true)]
    Debug {
        #[command(subcommand)]
        verb: Debug,
    },
    /// Watch the whole loop work: real tools, real sandbox, a scripted model. Needs no key and no network.
    Demo,
    /// Add, list and remove the MCP servers whose tools the agent uses.
    Mcp {
        #[command(subcommand)]
        verb: Option<Mcp>,
    },
}

/// `codex mcp-server`.
#[derive(Debug, Default, Args)]
pub(crate) struct McpServer {
    /// Which tools clients see.
    #[arg(long, value_enum, default_value_t = Exposed::All)]
    pub(crate) expose: Exposed,
}

/// Which tools clients see.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Exposed {
    /// The agent, the built-in tools, and those of the configured servers.
    #[default]
    All,
    /// `codex` and `codex-reply` alone.
    Agent,
}

/// `codex exec`.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// The task; `-`, or nothing, takes it from stdin.
    pub(crate) prompt: Option<String>,

    /// Keep the model's traffic in FILE, to play it back later.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub(crate) record: Option<PathBuf>,

    /// Play FILE back instead of asking a model; the run ends at the first difference.
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,

    /// Accepted for scripts written for other versions; a repository is not required.
    #[arg(long, hide = true)]
    pub(crate) skip_git_repo_check: bool,
}

/// `codex tool`.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// List every tool.
    List {
        /// As JSON, with the schemas.
        #[arg(long)]
        json: bool,
    },
    /// Call a tool.
    Call {
        /// The tool's name, as listed.
        name: String,
        /// A JSON object, or key=value pairs; a value is JSON, or else a string.
        #[arg(value_name = "JSON | KEY=VALUE")]
        arguments: Vec<String>,
        /// Print the whole result as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `codex sandbox`.
#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    #[command(subcommand)]
    pub(crate) verb: Option<Platform>,

    #[command(flatten)]
    pub(crate) confined: Confined,
}

/// `codex sandbox PLATFORM`: the words of older versions. Without one, this system's sandbox is meant.
#[derive(Debug, Subcommand)]
pub(crate) enum Platform {
    /// Show what this system enforces and what applies in this folder.
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// With the sandbox of Linux.
    #[command(visible_alias = "landlock")]
    Linux(Confined),
    /// With the sandbox of macOS.
    #[command(visible_alias = "seatbelt")]
    Macos(Confined),
    /// With the sandbox of Windows.
    Windows(Confined),
}

/// A command to run, and how.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Confined {
    /// The same as `-s workspace-write`.
    #[arg(long)]
    pub(crate) full_auto: bool,

    /// Show what was denied (macOS).
    #[arg(long)]
    pub(crate) log_denials: bool,

    /// The command and its arguments; without `-s` it may read and not write.
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// `codex debug`.
#[derive(Debug, Subcommand)]
pub(crate) enum Debug {
    /// `codex sandbox linux`.
    Landlock(Confined),
    /// `codex sandbox macos`.
    Seatbelt(Confined),
}

/// `codex mcp`.
#[derive(Debug, Subcommand)]
pub(crate) enum Mcp {
    /// Add a server, or replace the one of that name.
    Add {
        /// Its name: letters, digits, `-` and `_`; its tools will be NAME__TOOL.
        name: String,
        /// A variable of its environment.
        #[arg(long, value_name = "KEY=VALUE")]
        env: Vec<String>,
        /// The command that starts it.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// List the servers.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one server.
    Get {
        /// Its name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a server.
    Remove {
        /// Its name.
        name: String,
    },
    /// Older name of `codex mcp-server`.
    #[command(hide = true)]
    Serve(McpServer),
}
