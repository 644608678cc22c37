//! Units of systemd.

/// A systemd unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unit {
    /// Whether it runs, or is about to (`active`, `activating`, `reloading`).
    pub active: bool,
    /// systemd's own word for it, such as `failed`.
    pub active_state: String,
    /// systemd's word for whether it starts at boot, such as `enabled`.
    pub file_state: String,
    /// Whether its files changed since systemd read them.
    pub needs_reload: bool,
    /// Whether it does one thing and is then inactive again (`Type=oneshot`).
    #[serde(default)]
    pub runs_once: bool,
    /// Whether it can read its configuration again while it runs; none where
    /// a dry run cannot know.
    #[serde(default)]
    pub can_reload: Option<bool>,
}

impl Unit {
    /// Whether it starts at boot, or needs no enabling to.
    pub fn enabled(&self) -> bool {
        matches!(
            self.file_state.as_str(),
            "enabled" | "static" | "generated" | "transient"
        )
    }

    /// Whether enabling and disabling make no sense: it has no `[Install]`
    /// section of its own.
    pub fn not_installable(&self) -> bool {
        matches!(
            self.file_state.as_str(),
            "static" | "transient" | "indirect"
        )
    }

    /// Whether it cannot be started.
    pub fn masked(&self) -> bool {
        self.file_state.starts_with("masked")
    }
}
