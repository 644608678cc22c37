# Sourced before each probe: what is at a path, without what no two runs share
# (times, inode numbers, the time in a backup's name).

look() {
    for path; do
        if [ ! -e "$path" ] && [ ! -L "$path" ]; then
            echo "$path: nothing"
            continue
        fi
        find "$path" | LC_ALL=C sort | while read -r found; do
            stat -c '%n %A %U:%G links=%h' "$found" | sed -E 's/\.([0-9]+\.)?[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9:]{8}~/.BACKUP/'
            [ ! -L "$found" ] || readlink "$found"
            [ -L "$found" ] || [ ! -f "$found" ] || sha256sum <"$found"
        done
    done
}
