#!/bin/sh
# Installs prov: the binary, completions, man pages, and where systemd is, a unit. Says what it does, remembers it in a
# manifest, and removes exactly that with --uninstall.
set -eu

usage() {
    cat <<'USAGE'
usage: ./install.sh [--system] [--prefix DIR] [--binary FILE]
       ./install.sh --uninstall [--system] [--prefix DIR]

  --system        for everybody: below /usr/local, with a system unit; needs root
  --prefix DIR    below DIR instead of ~/.local or /usr/local
  --binary FILE   install this binary instead of building one
  --uninstall     remove what an earlier run installed
USAGE
}

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

system=no prefix='' binary='' action=install
while [ $# -gt 0 ]; do
    case $1 in
        --system) system=yes ;;
        --prefix) [ $# -gt 1 ] || fail "--prefix needs a directory" 2; prefix=$2; shift ;;
        --binary) [ $# -gt 1 ] || fail "--binary needs a file" 2; binary=$2; shift ;;
        --uninstall) action=uninstall ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown option: $1" 2 ;;
    esac
    shift
done

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
manifest=$prefix/share/prov/manifest

if [ $action = uninstall ]; then
    [ -f "$manifest" ] || fail "nothing to remove: there is no $manifest"
    while IFS= read -r file; do
        if [ -e "$file" ]; then
            rm -f -- "$file"
            echo "removed $file"
        fi
    done < "$manifest"
    rm -f -- "$manifest"
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

mkdir -p "$prefix/share/prov"
new=$manifest.new
: > "$new"

# place MODE SOURCE TARGET: puts a file in place wholly or not at all, and remembers it.
place() {
    mkdir -p "$(dirname "$3")"
    echo "$3" >> "$new"
    cp -- "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f -- "$3.new" "$3"
    echo "installed $3"
}

place 755 "$binary" "$prefix/bin/prov"
place 644 "$here/completions/prov.bash" "$prefix/share/bash-completion/completions/prov"
place 644 "$here/completions/_prov" "$prefix/share/zsh/site-functions/_prov"
place 644 "$here/completions/prov.fish" "$prefix/share/fish/vendor_completions.d/prov.fish"
for page in "$here"/man/*.1; do
    place 644 "$page" "$prefix/share/man/man1/$(basename "$page")"
done

if command -v systemctl >/dev/null; then
    unit=$(mktemp)
    trap 'rm -f "$unit"' EXIT
    if [ $system = yes ]; then
        cat > "$unit" <<UNIT
[Unit]
Description=prov, durable provisioning
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=$prefix/bin/prov serve
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
        place 644 "$unit" "$units/prov.service"
        echo "to start it: systemctl daemon-reload && systemctl enable --now prov"
    else
        cat > "$unit" <<UNIT
[Unit]
Description=prov, durable provisioning

[Service]
Type=notify
ExecStart=$prefix/bin/prov serve
Environment=PROV_WORKSPACE=%h/prov
# Tasks and their supervisor outlive the daemon: the next one takes them up.
KillMode=process
Restart=on-failure

[Install]
WantedBy=default.target
UNIT
        place 644 "$unit" "$units/prov.service"
        echo "to start it: prov init ~/prov && systemctl --user daemon-reload && systemctl --user enable --now prov"
    fi
else
    echo "there is no systemd here: no unit was installed; start the daemon with: prov serve"
fi

# What an earlier run installed and this one did not is gone with this one.
if [ -f "$manifest" ]; then
    while IFS= read -r file; do
        if ! grep -qxF -- "$file" "$new" && [ -e "$file" ]; then
            rm -f -- "$file"
            echo "removed $file"
        fi
    done < "$manifest"
fi
mv -f -- "$new" "$manifest"

case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) echo "note: $prefix/bin is not on your PATH" ;;
esac
