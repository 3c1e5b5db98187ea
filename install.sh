#!/bin/sh
# Installs prov: the binary, completions, man pages, and where systemd is, a unit. Says what it does, remembers it in a
# manifest, and removes exactly that with --uninstall.
#
# The manifest has a line a thing: `f PATH` for a file, `d PATH` for a directory that was made. It is written before
# anything is put in place, so that whatever ends a run in the middle, the next one, or --uninstall, knows all of it.
set -eu

usage() {
    cat <<'USAGE'
usage: ./install.sh [--system] [--prefix DIR] [--binary FILE] [--force]
       ./install.sh --uninstall [--system] [--prefix DIR]

  --system        for everybody: below /usr/local, with a system unit; needs root
  --prefix DIR    below DIR instead of ~/.local or /usr/local; without a unit
  --binary FILE   install this binary instead of building one
  --force         overwrite files that an earlier run did not install
  --uninstall     remove what an earlier run installed
USAGE
}

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

newline='
'
system=no prefix='' binary='' action=install force=no
while [ $# -gt 0 ]; do
    case $1 in
        --system) system=yes ;;
        --prefix=*) prefix=${1#*=}; [ -n "$prefix" ] || fail "--prefix needs a directory" 2 ;;
        --binary=*) binary=${1#*=}; [ -n "$binary" ] || fail "--binary needs a file" 2 ;;
        --prefix) [ -n "${2:-}" ] || fail "--prefix needs a directory" 2; prefix=$2; shift ;;
        --binary) [ -n "${2:-}" ] || fail "--binary needs a file" 2; binary=$2; shift ;;
        --force) force=yes ;;
        --uninstall) action=uninstall ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown option: $1" 2 ;;
    esac
    shift
done

# A unit belongs to the prov of the usual place; one of another prefix would take its name away.
if [ -n "$prefix" ]; then with_unit=no; else with_unit=yes; fi
if [ $system = yes ]; then
    : "${prefix:=/usr/local}"
    units=/etc/systemd/system
else
    [ -n "${HOME:-}" ] || fail "HOME is not set"
    : "${prefix:=$HOME/.local}"
    units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
fi
case $prefix in
    /*) ;;
    *) prefix=$(pwd)/$prefix ;;
esac
while [ "$prefix" != / ] && [ "$prefix" != "${prefix%/}" ]; do
    prefix=${prefix%/}
done
case $prefix$units in
    *"$newline"*) fail "the prefix can't have a line break in it" 2 ;;
esac
manifest=$prefix/share/prov/manifest

# Whether the manifest has this line. One of an earlier version has bare paths, all of files.
listed() {
    [ -f "$manifest" ] && { grep -qxF -- "$1 $2" "$manifest" || { [ "$1" = f ] && grep -qxF -- "$2" "$manifest"; }; }
}

# remove LINES: takes away the files of a manifest's lines, then the directories that were made and are empty.
remove() {
    while IFS= read -r line; do
        case $line in
            'd '*) continue ;;
            'f '*) line=${line#f } ;;
        esac
        if [ -e "$line" ] || [ -L "$line" ]; then
            rm -f -- "$line"
            echo "removed $line"
        fi
    done < "$1"
    # The deepest first: they were made in the other order.
    sed -n '1!G;h;$p' "$1" | while IFS= read -r line; do
        case $line in
            'd '*) rmdir -- "${line#d }" 2>/dev/null || true ;;
        esac
    done
}

if [ $action = uninstall ]; then
    [ -f "$manifest" ] || fail "nothing to remove: there is no $manifest"
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    cp -- "$manifest" "$list"
    rm -f -- "$manifest"
    remove "$list"
    rmdir -- "$prefix/share/prov" 2>/dev/null || true
    echo "the daemon's data and your configuration are left alone"
    exit 0
fi

here=$(cd "$(dirname "$0")" && pwd)
if [ -z "$binary" ]; then
    command -v cargo >/dev/null || fail "cargo is needed to build prov; or give a binary with --binary"
    (cd "$here" && cargo build --release --locked --bin prov)
    target=${CARGO_TARGET_DIR:-$here/target}
    case $target in
        /*) ;;
        *) target=$here/$target ;;
    esac
    binary=$target/release/prov
fi
[ -f "$binary" ] && [ -x "$binary" ] || fail "$binary is no program"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plan=$work/plan new=$work/manifest
: > "$plan"
: > "$new"

# plan MODE SOURCE TARGET
plan() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$plan"
}

plan 755 "$binary" "$prefix/bin/prov"
plan 644 "$here/completions/prov.bash" "$prefix/share/bash-completion/completions/prov"
plan 644 "$here/completions/_prov" "$prefix/share/zsh/site-functions/_prov"
plan 644 "$here/completions/prov.fish" "$prefix/share/fish/vendor_completions.d/prov.fish"
for page in "$here"/man/*.1; do
    plan 644 "$page" "$prefix/share/man/man1/$(basename "$page")"
done

# The path as systemd reads it: quoted, with what it would expand doubled.
program=\"$(printf '%s' "$prefix/bin/prov" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')\"
if [ $with_unit = no ]; then
    note="no unit was installed, because the prefix is not the usual one; start the daemon with: prov serve"
elif ! command -v systemctl >/dev/null; then
    note="there is no systemd here: no unit was installed; start the daemon with: prov serve"
elif [ $system = yes ]; then
    cat > "$work/unit" <<UNIT
[Unit]
Description=prov, durable provisioning
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=$program serve
Environment=PROV_WORKSPACE=/var/lib/prov/workspace
StateDirectory=prov prov/workspace
StateDirectoryMode=0700
Environment=PROV_DATA_DIR=/var/lib/prov/data
# Tasks and their supervisor outlive the daemon: the next one takes them up.
KillMode=process
Restart=on-failure
UMask=0077

[Install]
WantedBy=multi-user.target
UNIT
    plan 644 "$work/unit" "$units/prov.service"
    note="to start it: systemctl daemon-reload && systemctl enable --now prov"
else
    cat > "$work/unit" <<UNIT
[Unit]
Description=prov, durable provisioning

[Service]
Type=notify
ExecStart=$program serve
Environment=PROV_WORKSPACE=%h/prov
# Tasks and their supervisor outlive the daemon: the next one takes them up.
KillMode=process
Restart=on-failure

[Install]
WantedBy=default.target
UNIT
    plan 644 "$work/unit" "$units/prov.service"
    note="to start it: prov init ~/prov && systemctl --user daemon-reload && systemctl --user enable --now prov"
fi

# make DIR: notes it and what is missing above it as made by this installation, from the outside in.
make() {
    [ "$1" != / ] || return 0
    if [ -d "$1" ] && ! listed d "$1"; then
        return 0
    fi
    make "$(dirname "$1")"
    grep -qxF -- "d $1" "$new" || printf 'd %s\n' "$1" >> "$new"
}

tab=$(printf '\t')
while IFS=$tab read -r mode source target; do
    [ -f "$source" ] || fail "there is no $source"
    [ ! -d "$target" ] || fail "$target is a directory"
    if [ $force = no ] && [ -e "$target" ] && ! listed f "$target"; then
        fail "$target is there and was not installed by this; --force overwrites it"
    fi
    make "$(dirname "$target")"
    printf 'f %s\n' "$target" >> "$new"
done < "$plan"
make "$(dirname "$manifest")"

# Both what was there and what comes, before anything is put in place: a run that ends here can be undone.
mkdir -p -- "$(dirname "$manifest")"
if [ -f "$manifest" ]; then
    cp -- "$manifest" "$work/old"
    cat "$work/old" "$new" > "$manifest.new"
else
    cp -- "$new" "$manifest.new"
fi
mv -f -- "$manifest.new" "$manifest"

while IFS=$tab read -r mode source target; do
    mkdir -p -- "$(dirname "$target")"
    # Wholly or not at all.
    if ! { cp -T -- "$source" "$target.new" && chmod "$mode" "$target.new" && mv -fT -- "$target.new" "$target"; }; then
        rm -f -- "$target.new" || true
        fail "can't install $target; run this again, or with --uninstall to remove what was put in place"
    fi
    echo "installed $target"
done < "$plan"

# What an earlier run installed and this one did not is gone with this one.
if [ -f "$work/old" ]; then
    sed 's/^\//f \//' "$work/old" | grep -vxF -f "$new" > "$work/gone" || true
    remove "$work/gone"
fi
cp -- "$new" "$manifest.new"
mv -f -- "$manifest.new" "$manifest"

echo "$note"
case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) echo "note: $prefix/bin is not on your PATH" ;;
esac
