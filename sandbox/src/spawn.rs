//! From a policy and a command to a running child.
#![cfg(target_os = "linux")]

use std::io;

use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{Receiver, Sender},
};

use crate::{
    child::Child,
    command::Command,
    error::{SpawnError, Stage},
    exec,
    plan::{self, Pipes, Plan, Search},
    policy::Policy,
    spawner::{self, Started},
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
    run(plan, pipes, search).await
}

/// Carries out a plan.
pub(crate) async fn run(plan: Plan, pipes: Pipes, search: Search) -> Result<Child, SpawnError> {
    let failed = |stage| move |source| SpawnError::Setup { stage, source };
    let Started { owner, report } = spawner::start(plan).await?;
    let mut child = Child::new(owner).map_err(failed(Stage::Watch))?;
    if let Some((stage, source)) =
        failure(Receiver::from_owned_fd(report)).await.map_err(failed(Stage::Pipes))?
    {
        return Err(match stage {
            Stage::Exec => search.failure(source),
            Stage::Cwd => search.cwd_failure(source),
            stage => SpawnError::Setup { stage, source },
        });
    }
    child.stdin = pipes.stdin.map(Sender::from_owned_fd).transpose().map_err(failed(Stage::Pipes))?;
    child.stdout = pipes.stdout.map(Receiver::from_owned_fd).transpose().map_err(failed(Stage::Pipes))?;
    child.stderr = pipes.stderr.map(Receiver::from_owned_fd).transpose().map_err(failed(Stage::Pipes))?;
    Ok(child)
}

/// Reads the report pipe, which closes without a word when the program is executed.
async fn failure(report: io::Result<Receiver>) -> io::Result<Option<(Stage, io::Error)>> {
    let mut bytes = Vec::with_capacity(exec::REPORT);
    report?.take(exec::REPORT as u64).read_to_end(&mut bytes).await?;
    Ok(exec::read_report(&bytes))
}
