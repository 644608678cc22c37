# Finds the agent on the host or receives it, and becomes it.
#
# bootstrap.rs makes one line of this: comments are dropped and lines are
# joined by a space, so each ends as a shell line must (`;`, `{`, `then`).
# The line passes through login shells of other kinds inside single quotes.
# Therefore: no single quote, no backslash, no exclamation mark (csh reads it
# even there). Only what dash and busybox know.
#
# $1: SHA-256 of the agent. $2: its size. What follows is for the agent.
mask=$(umask); umask 077;
hash=$1; size=$2; shift 2;
uid=$(id -u);
name=veza-agent-$hash;
if [ "$uid" = 0 ]; then home=/var/lib/veza-play/agent;
else home=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/veza-play; fi;
why=;

# Commands of a play start where a login starts, and with its umask.
become() { file=$1; shift; umask "$mask"; cd "${HOME:-/}" 2>/dev/null || cd /; exec "$file" "$@"; };

# A directory counts when it is real, ours, and closed to all others: nobody
# else can have put a file into it.
is_ours() {
  case "$1" in /*) ;; *) return 1;; esac;
  listed=$(ls -ldn "$1" 2>/dev/null) || return 1;
  set -f; set -- $listed; set +f;
  case "$1" in d????-??-*) [ "$3" = "$uid" ];; *) return 1;; esac;
};

# A crash of the host may have cut a file that was renamed into its place.
is_whole() {
  [ -f "$1" ] && [ -x "$1" ] || return 1;
  listed=$(ls -ln "$1" 2>/dev/null) || return 1;
  set -f; set -- $listed; set +f;
  [ "$5" = "$size" ];
};

# An empty file that may be executed succeeds, as an empty script.
try() {
  why="$why $1:";
  mkdir -p "$1" 2>/dev/null;
  is_ours "$1" || { why="$why not a directory that only its owner, the user $uid, can write;"; return 1; };
  new=$(mktemp "$1/$name.XXXXXX" 2>/dev/null) || { why="$why no file can be created;"; return 1; };
  chmod 700 "$new";
  "$new" </dev/null >/dev/null 2>&1 || { why="$why programs may not be executed there;"; rm -f "$new"; return 1; };
  receive "$1/$name" && return 0;
  rm -f "$new";
  return 1;
};

# Takes exactly $size bytes from the input, whatever becomes of them: the
# sender counts on it. The agent must answer before it gets its name.
receive() {
  echo; echo "veza-bootstrap wants $hash $(uname -m)";
  head -c "$size" | { cat >"$new" 2>/dev/null || { cat >/dev/null; false; }; }
    || { why="$why the file system is full or broken;"; return 1; };
  sum=$(sha256sum <"$new" 2>/dev/null) || sum=$hash;
  case "$sum" in "$hash"*) ;; *) why="$why the file arrived damaged;"; return 1;; esac;
  set -f; set -- "$1" $(ls -ln "$new"); set +f;
  [ "$6" = "$size" ] || { why="$why the file arrived cut off;"; return 1; };
  "$new" --version </dev/null >/dev/null 2>&1 || { why="$why the agent does not run there (exit code $?);"; return 1; };
  mv -f "$new" "$1";
};

# Agents of other versions go when nobody has started to need them for a month;
# one that runs keeps running without its name.
forget_old() { find "$1" -name "veza-agent-*" -mtime +30 -exec rm -f {} + 2>/dev/null; };

for dir in @DIRECTORIES@; do
  if is_whole "$dir/$name" && is_ours "$dir"; then become "$dir/$name" "$@"; fi;
done;
for dir in @DIRECTORIES@; do
  if try "$dir"; then forget_old "$dir"; become "$dir/$name" "$@"; fi;
done;
echo; echo "veza-bootstrap failed:$why"; exit 1
