//! Which layer lies over which: defaults, the file, profiles, the command line, a call. The file is read once, at the
//! start: what changes in it later changes nothing for the sessions of this process.

use mcp_host::Overrides;

use super::Flags;
use crate::config::{ConfigError, Home, Layers, Origin, Values, split_key};

/// Settings that reach outside the sandbox or decide where keys go: a caller cannot set them, neither directly nor by
/// choosing a profile.
const PERSONS_ONLY: [&str; 4] = ["mcp_servers", "model_providers", "projects", "notify"];
/// Settings that a caller cannot set. Of a profile that it chooses, they are taken as far as they take away.
const NOT_BY_CALL: [&str; 2] = ["sandbox_permissions", "shell_environment_policy"];

/// What was typed, layer by layer.
pub(crate) struct Layering {
    file: Layers,
    /// The profile that the person chose.
    profile: Option<String>,
    flags: Flags,
    person: Layers,
}

impl Layering {
    /// Reads the file and puts the person's profile and flags over it.
    pub(crate) fn read(home: &Home, flags: Flags) -> Result<Self, ConfigError> {
        let mut file = Layers::default();
        file.add_file(&home.config_file())?;
        let mut typed = Layers::default();
        for flag in &flags.config {
            typed.add_flag(flag)?;
        }
        let named = |layers: &Layers| Values(layers).text(&["profile"]);
        let profile = match &flags.profile {
            Some(profile) => Some(profile.clone()),
            None => named(&typed)?.or(named(&file)?),
        };
        let mut layering = Self { file, profile, flags, person: Layers::default() };
        layering.person = layering.stack(None)?;
        Ok(layering)
    }

    /// Sets the sandbox mode where the command line chose none, whatever the file says.
    pub(crate) fn default_mode(&mut self, mode: &str) -> Result<(), ConfigError> {
        let profile_chosen = self.flags.profile.is_some();
        let chosen = |key| {
            self.person.get(&[key]).is_some_and(|(_, origin)| match origin {
                Origin::Flag(_) => true,
                Origin::Profile { .. } => profile_chosen,
                _ => false,
            })
        };
        if !chosen("sandbox_mode") && !chosen("sandbox_permissions") {
            self.flags.sandbox = Some(mode.to_owned());
            self.person = self.stack(None)?;
        }
        Ok(())
    }

    /// What stands in the file alone.
    pub(crate) fn file(&self) -> &Layers {
        &self.file
    }

    /// What the person at this machine set.
    pub(crate) fn person(&self) -> &Layers {
        &self.person
    }

    /// The same with a call's wishes on top.
    pub(crate) fn for_call(&self, overrides: &Overrides) -> Result<Layers, ConfigError> {
        for name in overrides.config.keys() {
            let first = split_key(name).ok().and_then(|key| key.first().cloned()).unwrap_or_default();
            if PERSONS_ONLY.iter().chain(&NOT_BY_CALL).any(|name| *name == first) {
                let problem =
                    "can be set only by the person who starts the server: in config.toml, or with -c";
                return Err(ConfigError::new(&Origin::Call, name, problem));
            }
        }
        let profile = overrides.profile.as_deref().or_else(|| overrides.config.get("profile")?.as_str());
        let mut layers = match profile {
            Some(profile) => {
                self.check_profile(profile)?;
                self.stack(Some(profile))?
            }
            None => self.person.clone(),
        };
        layers.add_call(&overrides.config)?;
        let mut set = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                layers.set(&[key.to_owned()], &value.as_str().into(), &Origin::Call);
            }
        };
        set("model", &overrides.model);
        set("sandbox_mode", &overrides.sandbox);
        set("approval_policy", &overrides.approval_policy);
        Ok(layers)
    }

    /// The older list is a whole policy in one value, so there is no taking a part of it.
    fn check_profile(&self, profile: &str) -> Result<(), ConfigError> {
        match self.file.get(&["profiles", profile, "sandbox_permissions"]) {
            Some((_, origin)) if self.profile.as_deref() != Some(profile) => {
                let problem = format!(
                    "only the person who starts the server can choose profile {profile:?}, which has it: with -p"
                );
                Err(ConfigError::new(origin, "sandbox_permissions", problem))
            }
            _ => Ok(()),
        }
    }

    /// The file, the person's profile, the caller's, the flags: each over the one before.
    fn stack(&self, callers_profile: Option<&str>) -> Result<Layers, ConfigError> {
        let mut layers = self.file.clone();
        if let Some(profile) = &self.profile {
            layers.apply_profile(profile, &[])?;
        }
        if let Some(profile) = callers_profile {
            layers.apply_profile(profile, &PERSONS_ONLY)?;
        }
        for flag in &self.flags.config {
            layers.add_flag(flag)?;
        }
        let mut set = |key: &str, value: &Option<String>, flag: &str| {
            if let Some(value) = value {
                layers.set(&[key.to_owned()], &value.as_str().into(), &Origin::Flag(flag.to_owned()));
            }
        };
        set("model", &self.flags.model, "-m");
        set("sandbox_mode", &self.flags.sandbox, "-s");
        set("approval_policy", &self.flags.approval, "-a");
        set("model_provider", &self.flags.oss.then(|| "ollama".to_owned()), "--oss");
        Ok(layers)
    }
}
