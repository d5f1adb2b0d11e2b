//! From a policy and a command to a running child.
#![cfg(target_os = "linux")]

use tokio::net::unix::pipe::{Receiver, Sender};

use crate::{
    appeared::Watch,
    child::Child,
    command::Command,
    error::{SpawnError, Stage},
    plan::{self, Pipes, Plan, Search},
    policy::Policy,
    spawner,
    terminal::Terminal,
};

/// Starts a command under a policy. When this returns, the program runs, or it never will. Dropping the
/// future ends what it has started.
///
/// Needs a tokio runtime with I/O.
///
/// # Errors
/// [`SpawnError`] says which part of the command or of the policy could not be had.
pub async fn spawn(policy: &Policy, command: Command) -> Result<Child, SpawnError> {
    tracing::debug!(mode = policy.mode(), ?command, "starting a command");
    let (plan, pipes, search) = plan::plan(policy, command)?;
    run(policy, plan, pipes, search).await
}

/// Carries out a plan that was made for this policy.
pub(crate) async fn run(
    policy: &Policy,
    plan: Plan,
    pipes: Pipes,
    search: Search,
) -> Result<Child, SpawnError> {
    let failed = |stage| move |source| SpawnError::Setup { stage, source };
    let watch = Watch::new(policy, plan.confinement.namespaces.is_none());
    let owner = spawner::start(plan).await?;
    let mut child = Child::new(owner).map_err(failed(Stage::Watch))?;
    if let Err((stage, source)) = child.started().await.map_err(failed(Stage::Watch))? {
        return Err(match stage {
            Stage::Exec => search.failure(source),
            Stage::Cwd => search.cwd_failure(source),
            stage => SpawnError::Setup { stage, source },
        });
    }
    child.watch = watch;
    child.stdin = pipes.stdin.map(Sender::from_owned_fd).transpose().map_err(failed(Stage::Pipes))?;
    child.stdout = pipes.stdout.map(Receiver::from_owned_fd).transpose().map_err(failed(Stage::Pipes))?;
    child.terminal = pipes.terminal.map(Terminal::new).transpose().map_err(failed(Stage::Terminal))?;
    child.stderr = pipes.stderr.map(Receiver::from_owned_fd).transpose().map_err(failed(Stage::Pipes))?;
    Ok(child)
}
