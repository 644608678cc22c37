//! The test `version`: loose versions as Ansible compares them, strict and
//! semantic ones.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, Value};

use super::builtins::invalid;
use super::marks::Registry;
use super::python;

/// Adds the tests of this file.
pub fn register(registry: &mut Registry) {
    for name in ["version", "version_compare"] {
        registry.test(name, version);
    }
}

fn version(value: &Value, other: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<bool, Error> {
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let operator =
        argument(0, "operator")?.map_or_else(|| "eq".into(), |value| python::text(&value));
    let strict = argument(1, "strict")?.is_some_and(|value| value.is_true());
    let kind = argument(2, "version_type")?.map(|value| python::text(&value));
    kwargs.assert_all_used()?;
    let (left, right) = (python::text(value), python::text(other));
    if left.is_empty() || right.is_empty() {
        return Err(invalid("a version is empty"));
    }
    let order = match kind.as_deref() {
        Some("strict") => strict_version(&left)?.cmp(&strict_version(&right)?),
        None | Some("loose") if strict => strict_version(&left)?.cmp(&strict_version(&right)?),
        None | Some("loose") => loose_order(&left, &right)?,
        Some("semver" | "semantic") => semantic_order(&left, &right)?,
        Some(_) => return Err(invalid("`version_type` must be loose, strict or semver")),
    };
    match operator.as_str() {
        "==" | "=" | "eq" => Ok(order.is_eq()),
        "!=" | "<>" | "ne" => Ok(order.is_ne()),
        "<" | "lt" => Ok(order.is_lt()),
        "<=" | "le" => Ok(order.is_le()),
        ">" | "gt" => Ok(order.is_gt()),
        ">=" | "ge" => Ok(order.is_ge()),
        _ => Err(invalid(
            "the operator of `version` must be ==, !=, <, <=, > or >=",
        )),
    }
}

#[derive(PartialEq, Eq)]
enum Part {
    Number(u64),
    Word(String),
}

/// `1.10b` as 1, 10, b.
fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let class = |c: char| (c.is_ascii_digit(), c.is_ascii_lowercase(), c == '.');
        let length = rest
            .find(|c| class(c) != class(first))
            .unwrap_or(rest.len());
        let length = if first == '.' { 1 } else { length };
        let (part, after) = rest.split_at(length);
        match part.parse() {
            Ok(number) if first.is_ascii_digit() => parts.push(Part::Number(number)),
            _ if part != "." => parts.push(Part::Word(part.to_owned())),
            _ => {}
        }
        rest = after;
    }
    parts
}

fn loose_order(left: &str, right: &str) -> Result<Ordering, Error> {
    let (left, right) = (parts(left), parts(right));
    for pair in left.iter().zip(&right) {
        let order = match pair {
            (Part::Number(a), Part::Number(b)) => a.cmp(b),
            (Part::Word(a), Part::Word(b)) => a.cmp(b),
            _ => {
                return Err(invalid(
                    "the versions cannot be compared: a number meets a word",
                ));
            }
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(left.len().cmp(&right.len()))
}

/// Three numbers, and whether it is final or else its pre-release.
type Strict = ([u64; 3], (bool, char, u64));

/// `1.2.3b4`: three numbers, and a pre-release that comes before none.
fn strict_version(version: &str) -> Result<Strict, Error> {
    let bad = || invalid("a strict version is two or three numbers, and perhaps a1 or b1");
    let (numbers, pre) = match version.find(['a', 'b']) {
        Some(at) => version.split_at(at),
        None => (version, ""),
    };
    let numbers: Vec<u64> = numbers
        .split('.')
        .map(|n| n.parse().map_err(|_| bad()))
        .collect::<Result<_, _>>()?;
    let numbers = match numbers[..] {
        [major, minor] => [major, minor, 0],
        [major, minor, patch] => [major, minor, patch],
        _ => return Err(bad()),
    };
    let Some(letter) = pre.chars().next() else {
        return Ok((numbers, (true, 'z', 0)));
    };
    let count = pre[1..].parse().map_err(|_| bad())?;
    Ok((numbers, (false, letter, count)))
}

fn semantic_order(left: &str, right: &str) -> Result<Ordering, Error> {
    let ((left, left_pre), (right, right_pre)) = (semantic(left)?, semantic(right)?);
    let order = left.cmp(&right);
    if order.is_ne() {
        return Ok(order);
    }
    // A release comes after all its pre-releases.
    Ok(match (left_pre.is_empty(), right_pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => pre_release_order(&left_pre, &right_pre),
    })
}

fn semantic(version: &str) -> Result<([u64; 3], Vec<String>), Error> {
    let bad = || invalid("a semantic version is three numbers, and perhaps -rc.1 and +build");
    let core = version.split('+').next().unwrap_or(version);
    let (core, pre) = core
        .split_once('-')
        .map_or((core, Vec::new()), |(core, pre)| {
            (core, pre.split('.').map(str::to_owned).collect())
        });
    let numbers: Vec<u64> = core
        .split('.')
        .map(|n| n.parse().map_err(|_| bad()))
        .collect::<Result<_, _>>()?;
    match numbers[..] {
        [major, minor, patch] => Ok(([major, minor, patch], pre)),
        _ => Err(bad()),
    }
}

fn pre_release_order(left: &[String], right: &[String]) -> Ordering {
    for (a, b) in left.iter().zip(right) {
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}
