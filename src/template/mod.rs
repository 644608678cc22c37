//! Renders templates as Ansible does.
