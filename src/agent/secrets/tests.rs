use proptest::prelude::*;

use super::*;

fn table(secrets: &[(&str, &str)]) -> Table {
    let mut table = Table::default();
    let secrets = secrets
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
    table.add(secrets).expect("they are long enough");
    table
}

fn shown(table: &Table, text: &str) -> String {
    mark::show(&table.mask(text)).into_owned()
}

#[test]
fn values_are_found_in_every_form() {
    let table = table(&[("db", "hunter2/+= x")]);
    for text in [
        "hunter2/+= x",
        "aHVudGVyMi8rPSB4",
        "hunter2%2F%2B%3D%20x",
        "hunter2%2F%2B%3D+x",
    ] {
        assert_eq!(
            shown(&table, &format!("<{text}>")),
            "<(secret db)>",
            "{text}"
        );
    }
    assert_eq!(shown(&table, "hunter2"), "hunter2");
}

#[test]
fn what_is_masked_means_the_same_bytes() {
    let table = table(&[("db", "hunter2!"), ("user", "postgres")]);
    let text = "postgres:hunter2! aHVudGVyMiE= and postgres";
    let masked = table.mask(text);
    assert!(!masked.contains("hunter2") && !masked.contains("postgres"));
    assert_eq!(table.reveal(&masked).expect("all are known"), text);
    let asked = format!("postgres:{} aHVudGVyMiE= and postgres", mark::secret("db"));
    assert_eq!(table.canonical(&asked), masked);
}

#[test]
fn the_name_in_a_mark_is_no_place_for_a_value() {
    let table = table(&[("the-password", "0123456789"), ("other", "password")]);
    let text = mark::secret("the-password");
    assert_eq!(table.mask(&text), text);
    assert_eq!(table.canonical(&text), text);
}

#[test]
fn a_value_that_is_not_here_is_named() {
    let table = table(&[("db", "hunter2!")]);
    let failure = table.reveal(&mark::secret("web")).expect_err("not there");
    assert!(failure.message.contains("web"), "{failure}");
    assert_eq!(table.resolve(&mark::secret("web")), mark::secret("web"));
    let failure = Table::default().add([("pin".to_owned(), Secret::new("1234"))]);
    assert!(failure.is_err_and(|failure| failure.message.contains("pin")));
}

#[test]
fn the_digest_of_a_content_does_not_tell_the_secret() {
    let table = table(&[("db", "hunter2!")]);
    let found = table.found_content(Content::of(b"password=hunter2!\n"));
    let asked = Content::of(format!("password={}\n", mark::secret("db")).as_bytes());
    assert_eq!(found, table.canonical_content(&asked));
    assert_eq!(found.sha256, asked.sha256);
    assert_eq!(found.size, 18);
    let forged = table.found_content(Content::of(mark::secret("db").as_bytes()));
    assert_eq!(forged.text, None);
}

#[test]
fn a_secret_is_not_printed() {
    let table = table(&[("db", "hunter2!")]);
    assert!(!format!("{:?}", table.get("db")).contains("hunter2"));
    assert_eq!(table.name_of("hunter2!"), Some("db"));
}

proptest! {
    #[test]
    fn masking_never_changes_what_is_meant(
        value in "[ -~äß\n]{6,12}",
        other in "[a-c]{6,8}",
        parts in prop::collection::vec("[ -~a-cä]{0,6}", 1..6),
    ) {
        let table = table(&[("one", &value), ("two", &other)]);
        for separator in [value.as_str(), other.as_str(), ""] {
            let text = parts.join(separator);
            let masked = table.mask(&text);
            prop_assert!(!masked.contains(&value));
            prop_assert_eq!(table.reveal(&masked).expect("known"), text.as_str());
            prop_assert_eq!(table.canonical(&masked), masked.as_ref());
        }
    }

    #[test]
    fn a_value_in_pieces_is_masked_as_one_in_a_whole(
        value in "[ab]{6,9}",
        other in "[abc]{6,9}",
        text in "[abc]{0,40}",
        size in 1_usize..9,
    ) {
        let table = table(&[("one", &value), ("two", &other)]);
        let text = format!("{text}{value}{text}{other}b");
        let mut masking = Masking::default();
        let mut passed = String::new();
        for piece in text.as_bytes().chunks(size) {
            passed += &masking.pass(&table, piece);
        }
        passed += &masking.rest(&table);
        prop_assert!(!passed.contains(&value) && !passed.contains(&other));
        prop_assert_eq!(table.reveal(&passed).expect("known"), text.as_str());
    }
}
