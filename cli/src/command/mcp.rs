//! `codex mcp add|list|get|remove`: the servers in config.toml. The rest of the file stays as it is.

use std::io::IsTerminal;

use clap::CommandFactory;
use serde_json::{Value, json};

use super::misconfigured;
use crate::args::{Arguments, Global, Mcp, McpServer};
use crate::config::{ConfigError, ConfigFile, Home, Layers, ServerTable, Values, servers};
use crate::exit::Exit;
use crate::out;

/// Runs the command.
pub(crate) fn run(global: &Global, verb: Option<Mcp>) -> Exit {
    let done = match verb {
        // The name of `mcp-server` in its first releases: clients have it in their settings.
        None if !std::io::stdin().is_terminal() => {
            return super::mcp_server::run(global, &McpServer::default());
        }
        Some(Mcp::Serve(options)) => return super::mcp_server::run(global, &options),
        None => {
            let help =
                Arguments::command().find_subcommand_mut("mcp").map(|mcp| mcp.render_help().to_string());
            out::note(help.unwrap_or_default());
            return Exit::Usage;
        }
        Some(Mcp::Add { name, env, command }) => add(&name, &env, &command),
        Some(Mcp::List { json }) => list(json),
        Some(Mcp::Get { name, json }) => get(&name, json),
        Some(Mcp::Remove { name }) => remove(&name),
    };
    done.unwrap_or_else(|error| misconfigured(&error))
}

fn add(name: &str, env: &[String], command: &[String]) -> Result<Exit, ConfigError> {
    check_name(name)?;
    let mut variables = Vec::new();
    for pair in env {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => variables.push((key.to_owned(), value.to_owned())),
            // The text stays out of the message: a value without its key may be a secret.
            _ => return Err(ConfigError::general("--env takes KEY=VALUE")),
        }
    }
    let Some((program, arguments)) = command.split_first() else {
        return Err(ConfigError::general("the command is missing: codex mcp add NAME -- COMMAND"));
    };
    let mut file = ConfigFile::open(Home::find()?.config_file())?;
    let replaced = file.set_server(name, program, arguments, &variables)?;
    file.save()?;
    let done = if replaced { "Replaced the command of" } else { "Added" };
    out::line(format!("{done} MCP server '{name}'. Its tools: codex tool list"));
    Ok(Exit::Done)
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        return Ok(());
    }
    Err(ConfigError::general(format!("server name {name:?}: use 1 to 64 letters, digits, '-' and '_'")))
}

fn remove(name: &str) -> Result<Exit, ConfigError> {
    let home = Home::find()?;
    let mut file = ConfigFile::open(home.config_file())?;
    if !file.remove_server(name) {
        return Err(unknown(name, &configured()?));
    }
    file.save()?;
    out::line(format!("Removed MCP server '{name}'."));
    Ok(Exit::Done)
}

fn configured() -> Result<Vec<ServerTable>, ConfigError> {
    let mut layers = Layers::default();
    layers.add_file(&Home::find()?.config_file())?;
    servers(Values(&layers))
}

fn unknown(name: &str, servers: &[ServerTable]) -> ConfigError {
    let known: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    let known = if known.is_empty() {
        "none is configured".to_owned()
    } else {
        format!("configured: {}", known.join(", "))
    };
    ConfigError::general(format!("no MCP server named '{name}'; {known}"))
}

fn list(json: bool) -> Result<Exit, ConfigError> {
    let servers = configured()?;
    if json {
        let all: Vec<Value> = servers.iter().map(shown).collect();
        out::line(serde_json::to_string_pretty(&all).unwrap_or_default());
    } else if servers.is_empty() {
        out::line(
            "No MCP servers configured yet. Try: codex mcp add every -- npx -y @modelcontextprotocol/server-everything",
        );
    } else {
        let width = servers.iter().map(|server| server.name.len()).max().unwrap_or_default();
        for server in &servers {
            let state = if server.enabled { "enabled " } else { "disabled" };
            let command: Vec<&str> =
                std::iter::once(&server.command).chain(&server.args).map(String::as_str).collect();
            out::line(out::plain(&format!("{:width$}  {state}  {}", server.name, command.join(" "))));
        }
    }
    Ok(Exit::Done)
}

fn get(name: &str, json: bool) -> Result<Exit, ConfigError> {
    let servers = configured()?;
    let Some(server) = servers.iter().find(|server| server.name == name) else {
        return Err(unknown(name, &servers));
    };
    if json {
        out::line(serde_json::to_string_pretty(&shown(server)).unwrap_or_default());
        return Ok(Exit::Done);
    }
    out::line(out::plain(name));
    if let Value::Object(fields) = shown(server) {
        for (key, value) in fields.iter().filter(|(key, value)| *key != "name" && !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out::line(out::plain(&format!("  {key}: {value}")));
        }
    }
    out::line(format!("  remove: codex mcp remove {name}"));
    Ok(Exit::Done)
}

/// A server without the values of its environment: they may be secrets.
fn shown(server: &ServerTable) -> Value {
    let env: serde_json::Map<String, Value> =
        server.env.keys().map(|key| (key.clone(), Value::from("*****"))).collect();
    json!({
        "name": server.name,
        "enabled": server.enabled,
        "command": server.command,
        "args": server.args,
        "env": env,
        "env_vars": server.env_vars,
        "cwd": server.cwd,
        "approval": server.approval.name(),
        "startup_timeout_sec": server.startup_timeout.as_secs_f64(),
        "tool_timeout_sec": server.tool_timeout.as_secs_f64(),
    })
}
