//! `veza-play vault`: files of secrets, one value at a time.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use toml_edit::{DocumentMut, Item};
use zeroize::Zeroizing;

use super::{Refusal, keys, say, show};
use crate::cli::Vault as Words;
use crate::exit::Exit;
use crate::files::Lock;
use crate::secrets::Trouble;
use crate::secrets::file::{File, Opener};
use crate::secrets::keys::{Identities, recipients};
use crate::secrets::prompt::ask;
use crate::secrets::vault::{Clear, Vault};

/// Does it.
pub fn run(words: Words) -> Result<Exit, Refusal> {
    match words {
        Words::Set {
            file,
            name,
            recipient,
        } => set(&file, &name, &recipient),
        Words::View { file, name, keys } => view(&file, name.as_deref(), &keys),
        Words::Edit { file, name, keys } => edit(&file, name.as_deref(), &keys),
        Words::List { file } => list(&file),
        Words::Rm { file, name } => remove(&file, &name),
        Words::Rekey {
            file,
            recipient,
            keys,
        } => rekey(&file, &recipient, &keys),
    }
}

fn set(file: &Path, name: &str, words: &[String]) -> Result<Exit, Refusal> {
    let given = recipients(words)?;
    match (file.exists(), given.is_empty()) {
        (false, false) => {}
        (false, true) => {
            let trouble = Trouble::new(format!("there is no file {}", file.display()));
            return Err(trouble
                .help("A new one needs to know who can read it: `--recipient ~/.ssh/id_ed25519.pub`, for instance, once for each person.")
                .into());
        }
        (true, true) => drop(own(file)?),
        (true, false) => {
            let trouble = Trouble::new(format!("{} has its recipients already", file.display()));
            return Err(trouble.help("`veza-play vault rekey` changes them.").into());
        }
    }
    let value = new_value(name)?;
    let known = change(file, &given, |vault| {
        let known = vault.names().contains(&name);
        vault.set(name, &value).map(|()| known)
    })?;
    say(&format!(
        "{} {name} in {}.",
        if known { "Changed" } else { "Added" },
        file.display()
    ));
    Ok(Exit::Done)
}

/// Changes a vault as it is now, whatever others did to it since it was read;
/// makes one for the recipients `new` where there is none.
fn change<T>(
    file: &Path,
    new: &[String],
    make: impl FnOnce(&mut Vault) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let failed =
        |error: io::Error| Trouble::new(format!("cannot write {}: {error}", file.display()));
    if let (Some(directory), false) = (file.parent(), new.is_empty()) {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let _lock = Lock::of(file).map_err(failed)?;
    let mut vault = match file.exists() || new.is_empty() {
        true => own(file)?,
        false => Vault::new(new),
    };
    let before = vault.text();
    let made = make(&mut vault)?;
    if vault.text() != before {
        vault.write(file)?;
    }
    Ok(made)
}

/// A value from standard input, or from who sits at the terminal.
fn new_value(name: &str) -> Result<Clear, Refusal> {
    if io::stdin().is_terminal() {
        let value = ask(&format!("Value of {name}"))?;
        return match *ask("Once more")? == *value {
            true => Ok(value),
            false => Err(Refusal::Message("the two are not the same".into())),
        };
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Refusal::Message(format!("cannot read the value: {error}")))?;
    Ok(without_last_newline(&text))
}

/// `echo` and editors end a line where none was meant; in a text of several
/// lines the last one ends too.
fn without_last_newline(text: &str) -> Clear {
    let value = match text.strip_suffix('\n') {
        Some(line) if !line.contains('\n') => line,
        _ => text,
    };
    Zeroizing::new(value.to_owned())
}

fn view(file: &Path, name: Option<&str>, given: &crate::cli::Keys) -> Result<Exit, Refusal> {
    let secrets = read(file)?;
    let mut opener = Opener::new(&keys(given));
    let Some(name) = name else {
        show(&document(&secrets.values(&mut opener)?))?;
        return Ok(Exit::Done);
    };
    let value = secrets.value(name, &mut opener)?;
    show(&value)?;
    // What a program reads is the value alone.
    if io::stdout().is_terminal() && !value.ends_with('\n') {
        show("\n")?;
    }
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<File, Trouble> {
    File::read(&file.display().to_string(), file)
}

/// A vault of our own; those of Ansible are left to Ansible.
fn own(file: &Path) -> Result<Vault, Trouble> {
    read(file)?.into_vault()
}

/// Secrets in clear, as they are edited.
fn document(values: &[(String, Clear)]) -> Clear {
    let mut document = DocumentMut::new();
    for (name, value) in values {
        document[name] = Item::Value(value.as_str().into());
    }
    Zeroizing::new(document.to_string())
}

fn edited(text: &str) -> Result<Vec<(String, Clear)>, Trouble> {
    let document: DocumentMut = text
        .parse()
        .map_err(|_| Trouble::new("what you wrote is no TOML: a line is `name = \"value\"`"))?;
    let value = |(name, item): (&str, &Item)| match item.as_str() {
        Some(value) => Ok((name.to_owned(), Zeroizing::new(value.to_owned()))),
        None => Err(Trouble::new(format!(
            "the value of {name} is no text in quotes"
        ))),
    };
    document.iter().map(value).collect()
}

fn edit(file: &Path, name: Option<&str>, given: &crate::cli::Keys) -> Result<Exit, Refusal> {
    let vault = own(file)?;
    let mut identities = Identities::find(&keys(given).identities)?;
    let before: Vec<(String, Clear)> = match name {
        None => vault.open(&mut identities)?,
        Some(name) if vault.names().contains(&name) => {
            vec![(name.to_owned(), vault.get(name, &mut identities)?)]
        }
        Some(_) => Vec::new(),
    };
    let desk = Desk::new(if name.is_some() {
        "value"
    } else {
        "secrets.toml"
    })?;
    let text = match name {
        None => document(&before),
        Some(_) => before
            .first()
            .map(|(_, value)| value.clone())
            .unwrap_or_default(),
    };
    desk.put(&text)?;
    loop {
        desk.edit()?;
        let after = desk.take().and_then(|text| match name {
            None => edited(&text),
            Some(name) => Ok(vec![(name.to_owned(), without_last_newline(&text))]),
        });
        let changed =
            after.and_then(|after| change(file, &[], |vault| put_changes(vault, &before, &after)));
        match changed {
            Ok(0) => {
                say("Nothing was changed.");
                return Ok(Exit::Done);
            }
            Ok(count) => {
                let noun = if count == 1 { "secret" } else { "secrets" };
                say(&format!("Changed {count} {noun} in {}.", file.display()));
                return Ok(Exit::Done);
            }
            // What was typed is not thrown away.
            Err(trouble) if io::stdin().is_terminal() => {
                say(&format!(
                    "{trouble}. Press Enter to go on editing, or Ctrl-D to give it up."
                ));
                if io::stdin().read_line(&mut String::new())? == 0 {
                    return Err(Refusal::Message("nothing was changed".into()));
                }
            }
            Err(trouble) => return Err(trouble.into()),
        }
    }
}

/// Puts in what is new or another than before, takes out what is gone, and
/// counts both.
fn put_changes(
    vault: &mut Vault,
    before: &[(String, Clear)],
    after: &[(String, Clear)],
) -> Result<usize, Trouble> {
    let mut count = 0;
    for (name, value) in after {
        if !before.contains(&(name.clone(), value.clone())) {
            vault.set(name, value)?;
            count += 1;
        }
    }
    let left: BTreeSet<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
    for (name, _) in before
        .iter()
        .filter(|(name, _)| !left.contains(name.as_str()))
    {
        // Somebody else may have taken it out meanwhile.
        if vault.names().contains(&name.as_str()) {
            vault.remove(name)?;
        }
        count += 1;
    }
    Ok(count)
}

/// A private place for a text that is edited: in memory where the system has
/// such a place. It goes with this value.
struct Desk {
    directory: tempfile::TempDir,
    file: PathBuf,
    /// Whether an editor is at work: Ctrl-C is then for it.
    at_work: Arc<AtomicBool>,
}

impl Desk {
    fn new(name: &str) -> Result<Self, Refusal> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = runtime
            .into_iter()
            .chain([PathBuf::from("/dev/shm"), std::env::temp_dir()]);
        let make = |place: PathBuf| {
            let mut builder = tempfile::Builder::new();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            builder
                .prefix("veza-vault-")
                .permissions(private)
                .tempdir_in(place)
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in places {
            match make(place) {
                Ok(directory) => {
                    let at_work = Arc::new(AtomicBool::new(false));
                    leave_on_interrupt(directory.path().to_owned(), at_work.clone())?;
                    let file = directory.path().join(name);
                    return Ok(Self {
                        directory,
                        file,
                        at_work,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(Refusal::Message(format!(
            "there is no place to edit in: {last}"
        )))
    }

    fn put(&self, text: &str) -> Result<(), Refusal> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)?;
        Ok(file.write_all(text.as_bytes())?)
    }

    fn take(&self) -> Result<Clear, Trouble> {
        let text = fs::read_to_string(&self.file);
        let cannot = |error| Trouble::new(format!("cannot read what you wrote: {error}"));
        text.map(Zeroizing::new).map_err(cannot)
    }

    fn edit(&self) -> Result<(), Refusal> {
        let editor = ["VISUAL", "EDITOR"]
            .iter()
            .find_map(|name| std::env::var(name).ok());
        let editor = editor.filter(|editor| !editor.trim().is_empty());
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        let words = shell_words::split(&editor)
            .map_err(|error| Refusal::Message(format!("cannot understand EDITOR: {error}")))?;
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| Refusal::Message("EDITOR names no program".into()))?;
        self.at_work.store(true, Ordering::SeqCst);
        let status = Command::new(program)
            .args(arguments)
            .arg(&self.file)
            .current_dir(self.directory.path())
            .status();
        self.at_work.store(false, Ordering::SeqCst);
        let status = status.map_err(|error| {
            Refusal::Message(format!("cannot start the editor {program}: {error}"))
        })?;
        match status.success() {
            true => Ok(()),
            false => Err(Refusal::Message(format!(
                "the editor {program} failed; nothing was changed"
            ))),
        }
    }
}

/// Ctrl-C leaves the program, unless it is meant for the editor. What is being
/// edited is never left behind.
fn leave_on_interrupt(directory: PathBuf, at_work: Arc<AtomicBool>) -> Result<(), Refusal> {
    ctrlc::set_handler(move || {
        if !at_work.load(Ordering::SeqCst) {
            match fs::remove_dir_all(&directory) {
                Ok(()) => say("Interrupted; nothing was changed."),
                Err(error) => say(&format!(
                    "Interrupted; {} could not be removed: {error}",
                    directory.display()
                )),
            }
            std::process::exit(Exit::Interrupted as i32);
        }
    })
    .map_err(|error| Refusal::Message(format!("cannot watch for Ctrl-C: {error}")))
}

fn list(file: &Path) -> Result<Exit, Refusal> {
    let secrets = read(file)?;
    let Some(names) = secrets.names() else {
        let trouble = Trouble::new("it is a file of ansible-vault, whose names are encrypted too");
        let trouble = trouble.help("`veza-play vault view` shows it in clear.");
        return Err(trouble.about(&secrets.id).into());
    };
    let recipients = secrets.recipients();
    let mut lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    if !recipients.is_empty() {
        lines += "\nencrypted for\n";
        lines.extend(
            recipients
                .iter()
                .map(|recipient| format!("  {recipient}\n")),
        );
    }
    show(&lines)?;
    Ok(Exit::Done)
}

fn remove(file: &Path, name: &str) -> Result<Exit, Refusal> {
    change(file, &[], |vault| vault.remove(name))?;
    say(&format!("Removed {name} from {}.", file.display()));
    Ok(Exit::Done)
}

fn rekey(file: &Path, words: &[String], given: &crate::cli::Keys) -> Result<Exit, Refusal> {
    let given_recipients = recipients(words)?;
    let mut identities = Identities::find(&keys(given).identities)?;
    let count = change(file, &[], |vault| {
        let new = match given_recipients.is_empty() {
            true => vault.recipients(),
            false => given_recipients,
        };
        vault.rekey(&new, &mut identities).map(|()| new.len())
    })?;
    let noun = if count == 1 {
        "recipient"
    } else {
        "recipients"
    };
    say(&format!(
        "Encrypted {} anew for {count} {noun}.",
        file.display()
    ));
    Ok(Exit::Done)
}
