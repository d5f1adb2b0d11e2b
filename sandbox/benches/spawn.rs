//! What a sandbox costs: `/bin/true` under each policy, in turns with a bare spawn of the standard library.
//!
//! `cargo bench -p sandbox --bench spawn`. What a fork costs grows with the memory of the process.

#![cfg_attr(target_os = "linux", expect(clippy::print_stdout, reason = "a bench reports on its output"))]

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use sandbox::{Network, Policy, Rules};

    const ROUNDS: usize = 400;
    let ballast = vec![1u8; 4 << 20];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let workspace = std::env::temp_dir();
    let writing = |network| Policy::workspace_write(vec![workspace.clone()], network);
    let denying = Rules {
        writable_roots: vec![workspace.clone()],
        deny_read: ["/root", "/etc/ssl", "/etc/shadow"].map(Into::into).into(),
        ..Rules::default()
    };
    let rows = [
        ("bare", None),
        ("danger-full-access", Some(Policy::FullAccess)),
        ("read-only", Some(Policy::read_only())),
        ("workspace-write, network on", Some(writing(Network::On))),
        ("workspace-write, network off", Some(writing(Network::Off))),
        ("the same, three paths denied", Some(Policy::Sandboxed(denying))),
    ];
    let mut times = vec![Vec::with_capacity(ROUNDS); rows.len()];
    for _ in 0..ROUNDS {
        for ((_, policy), times) in rows.iter().zip(&mut times) {
            let start = std::time::Instant::now();
            match policy {
                None => drop(bare()?),
                Some(policy) => runtime.block_on(ours(policy))?,
            }
            times.push(start.elapsed());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    for ((name, _), ms) in rows.iter().zip(&medians) {
        println!("{name:<30} {ms:.3} ms  +{:.3} ms  ×{:.2}", ms - medians[0], ms / medians[0]);
    }
    drop(std::hint::black_box(ballast));
    Ok(())
}

#[cfg(target_os = "linux")]
fn bare() -> std::io::Result<std::process::ExitStatus> {
    use std::process::{Command, Stdio};
    Command::new("/bin/true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .status()
}

#[cfg(target_os = "linux")]
async fn ours(policy: &sandbox::Policy) -> Result<(), Box<dyn std::error::Error>> {
    let command = sandbox::Command {
        program: "/bin/true".into(),
        args: Vec::new(),
        cwd: "/".into(),
        env: Vec::new(),
        input: sandbox::Input::Null,
        output: sandbox::Output::Merged,
    };
    sandbox::spawn(policy, command).await?.wait().await?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn median(times: &mut [std::time::Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

#[cfg(not(target_os = "linux"))]
fn main() {}
