//! A process outside with children, the victims, and with objects that only the kernel knows.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{probe::Probe, scene::SECRET};

pub(super) struct Keeper {
    process: Child,
    pub(super) victims: Vec<u32>,
    name: String,
    shm: u32,
    msg: u32,
    sem: u32,
    queue: u32,
    secret: u32,
}

impl Keeper {
    pub(super) fn new(base: &Path, victims: usize) -> Self {
        let name = base.file_name().unwrap().to_str().unwrap().to_owned();
        let mut process = Command::new("python3")
            .args(["-ISEBc", include_str!("keeper.py"), &victims.to_string(), &name])
            .current_dir(base.join("out"))
            .env_clear()
            // The first of its environment, which begins where the kernel says.
            .env("KEY", SECRET)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the probes need python3");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let numbers: Vec<u32> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [shm, msg, sem, queue, secret, ref victims @ ..] = numbers[..] else { panic!("{line}") };
        Self { process, victims: victims.to_vec(), name, shm, msg, sem, queue, secret }
    }

    /// Tells a probe where things are.
    pub(super) fn name(&self, victim: Option<u32>, names: &mut BTreeMap<&'static str, String>) {
        for (name, id) in [("OUTER_SHM", self.shm), ("OUTER_MSG", self.msg), ("OUTER_SEM", self.sem)] {
            names.insert(name, id.to_string());
        }
        names.insert("OUTER_QUEUE", format!("{:?}", self.name));
        if let Some(victim) = victim {
            let stat = fs::read_to_string(format!("/proc/{victim}/stat")).unwrap();
            // Where its environment begins, counted after the name.
            let environment = stat.rsplit(") ").next().unwrap().split(' ').nth(47).unwrap();
            names.insert("VICTIM", victim.to_string());
            names.insert("VICTIM_ENV", environment.to_owned());
            names.insert("VICTIM_FD", self.secret.to_string());
        }
    }

    /// How the objects are that a probe speaks of.
    pub(super) fn look(&self, probe: &Probe, look: &mut BTreeMap<String, String>) {
        for (name, file, id) in
            [("OUTER_SHM", "shm", self.shm), ("OUTER_MSG", "msg", self.msg), ("OUTER_SEM", "sem", self.sem)]
        {
            if probe.speaks_of(name) {
                let table = fs::read_to_string(Path::new("/proc/sysvipc").join(file)).unwrap();
                let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(&id.to_string());
                look.insert(name.to_owned(), table.lines().find(is_it).unwrap_or_default().to_owned());
            }
        }
        if probe.speaks_of("OUTER_QUEUE") {
            let queue = format!("/proc/{}/fd/{}", self.process.id(), self.queue);
            look.insert("OUTER_QUEUE".to_owned(), fs::read_to_string(queue).unwrap());
        }
    }
}

impl Drop for Keeper {
    /// The end of its input is the end of the victims.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
