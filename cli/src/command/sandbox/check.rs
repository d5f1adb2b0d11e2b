//! `codex sandbox check`: what this system enforces, and what applies to the agent's commands in this folder.

use std::path::Path;

use mcp_server::api::SandboxLimits;
use serde_json::json;

use super::super::misconfigured;
use crate::args::Global;
use crate::assemble::start_folder;
use crate::config::{ConfigError, Home};
use crate::exit::Exit;
use crate::out;
use crate::resolve::Policies;

/// Runs the command.
pub(super) fn run(global: &Global, json: bool) -> Exit {
    match policies(global).and_then(|policies| show(&policies, json)) {
        Ok(()) => Exit::Done,
        Err(error) => misconfigured(&error),
    }
}

fn policies(global: &Global) -> Result<Policies, ConfigError> {
    Policies::read(Home::find()?, global.flags(), start_folder(global.cd.clone())?)
}

fn show(policies: &Policies, json: bool) -> Result<(), ConfigError> {
    let (policy, env) = policies.here()?;
    let limits = SandboxLimits::of(&policy);
    let probe = sandbox::probe();
    let names: Vec<String> = env.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    if json {
        let shown = json!({
            "system": std::env::consts::OS,
            "level": probe.level().to_string(),
            "landlock_abi": probe.landlock_abi(),
            "seccomp": probe.seccomp(),
            "runs_commands": probe.confines(),
            "enforcement": probe.to_string().lines().collect::<Vec<_>>(),
            "folder": policies.start().display().to_string(),
            "policy": limits,
            "environment": names,
        });
        out::line(serde_json::to_string_pretty(&shown).unwrap_or_default());
        return Ok(());
    }
    out::line("What this system enforces");
    for line in probe.to_string().lines() {
        out::line(format!("  {line}"));
    }
    out::line(format!("\nWhat applies in {}", policies.start().display()));
    for (what, value) in rows(&limits, policies.home().user()) {
        out::line(out::plain(&format!("  {what}: {value}")));
    }
    out::line(format!("  environment: {} variables", names.len()));
    for warning in policies.unknown_keys() {
        out::note(format!("! {warning}"));
    }
    Ok(())
}

/// The limits, one a line.
fn rows(limits: &SandboxLimits, home: Option<&Path>) -> Vec<(&'static str, String)> {
    let mut rows = vec![("mode", limits.mode.clone())];
    let Some(require) = &limits.require else {
        rows.push(("sandbox", "none: commands may do what you may do".to_owned()));
        return rows;
    };
    let paths = |paths: &[String]| match paths {
        [] => "nothing".to_owned(),
        paths => paths.iter().map(|path| short(path, home)).collect::<Vec<_>>().join(", "),
    };
    let readable = limits.readable.as_ref();
    rows.push((
        "readable",
        readable.map_or_else(
            || "everything".to_owned(),
            |only| format!("the system's own files, the writable folders; besides, {}", paths(only)),
        ),
    ));
    rows.push(("not readable", paths(&limits.deny_read)));
    rows.push(("writable", paths(&limits.writable_roots)));
    if !limits.protected.is_empty() {
        rows.push(("not writable in it", paths(&limits.protected)));
    }
    rows.push(("network", limits.network.clone()));
    let devices = if limits.devices.is_empty() { "none".to_owned() } else { limits.devices.join(", ") };
    rows.push(("devices", devices));
    rows.push(("least level", require.clone()));
    rows
}

/// A sandbox in one line.
pub(crate) fn summary(limits: &SandboxLimits, home: Option<&Path>) -> String {
    let Some(level) = &limits.level else { return format!("{}: no sandbox", limits.mode) };
    let list = |paths: &[String]| paths.iter().map(|path| short(path, home)).collect::<Vec<_>>().join(", ");
    let mut parts = vec![limits.mode.clone()];
    if !limits.writable_roots.is_empty() {
        parts.push(format!("writable: {}", list(&limits.writable_roots)));
    }
    if let Some(readable) = &limits.readable {
        parts.push(format!("readable: system files, {}", list(readable)));
    }
    if !limits.deny_read.is_empty() {
        parts.push(format!("not readable: {}", list(&limits.deny_read)));
    }
    parts.push(format!("network {}", limits.network));
    match level.as_str() {
        "full" => {}
        _ if limits.refuses_commands() => parts
            .push(format!("commands are refused: the level of this system is {level} (codex sandbox check)")),
        "none" => parts.push("not enforced on this system".to_owned()),
        _ => parts.push(format!("enforced at the {level} level (codex sandbox check)")),
    }
    parts.join("; ")
}

/// A path as people write it.
fn short(path: &str, home: Option<&Path>) -> String {
    let below = home.and_then(|home| Path::new(path).strip_prefix(home).ok());
    match below.map(|below| below.display().to_string()) {
        Some(below) if below.is_empty() => "~".to_owned(),
        Some(below) => format!("~/{below}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::summary;
    use mcp_server::api::SandboxLimits;
    use serde_json::{Value, json};
    use std::path::Path;

    fn summed(limits: Value) -> String {
        let limits: SandboxLimits = serde_json::from_value(limits).unwrap();
        summary(&limits, Some(Path::new("/home/me")))
    }

    #[test]
    fn a_header_names_the_network_what_is_denied_and_a_level_that_is_not_full() {
        let mut limits = json!({
            "type": "workspace-write", "level": "full", "require": "reduced", "network": "off",
            "writable_roots": ["/home/me/ws", "/tmp"], "deny_read": ["/home/me/.ssh"],
        });
        let held = "workspace-write; writable: ~/ws, /tmp; not readable: ~/.ssh; network off";
        assert_eq!(summed(limits.clone()), held);
        limits["level"] = "reduced".into();
        assert_eq!(
            summed(limits.clone()),
            format!("{held}; enforced at the reduced level (codex sandbox check)")
        );
        limits["level"] = "none".into();
        assert!(
            summed(limits.clone())
                .ends_with("; commands are refused: the level of this system is none (codex sandbox check)")
        );
        limits["require"] = "none".into();
        assert!(summed(limits).ends_with("; not enforced on this system"));
        assert_eq!(
            summed(json!({"type": "danger-full-access", "network": "on"})),
            "danger-full-access: no sandbox"
        );
    }
}
