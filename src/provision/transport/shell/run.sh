# Runs one command for prov. Read from standard input line by line and never on a command line. Set before it: __i names
# this run, __t marks what is said to prov, __s is the limit in seconds, __b the bytes of the command's standard input,
# __environment exports the command's variables, and "$@" is the command. What follows on standard input is the command's
# input and then nothing, until prov or the connection is gone: that ends the command too.
exec 3<&0 </dev/null
umask 022
cd /root 2>/dev/null || cd /
__g=
for __m in /sys/fs/cgroup /sys/fs/cgroup/unified; do
  if [ -f "$__m/cgroup.controllers" ] && [ -w "$__m/cgroup.procs" ] && mkdir "$__m/prov-ssh-$__i" 2>/dev/null; then
    __g=$__m/prov-ssh-$__i
    break
  fi
done
__say() { echo "$__t $*" >&2; }
# What the command leaves running may write for ever, whether or not prov still listens.
__drain() {
  exec 3<&- 4>&-
  cat
  exec cat >/dev/null
}
__left() {
  __l=
  [ -z "$__g" ] || __l=$(cat "$__g/cgroup.procs" 2>/dev/null)
  for __f in $(grep -ls "SERVER_COMMAND=$__i" /proc/[0-9]*/environ 2>/dev/null); do
    __f=${__f#/proc/}
    __l="$__l ${__f%/environ}"
  done
}
# What /proc tells of a process: __a its state, __o its session, __y when it started.
__stat() {
  { read -r __x <"$1/stat"; } 2>/dev/null || return 1
  set -- ${__x##*) }
  [ $# -ge 20 ] || return 1
  __a=$1 __o=$4
  shift 19
  __y=$1
}
# Whether nothing is there that the command may have started and that shed the mark: what is younger than this shell bears
# a command's mark or is of this shell's own session, which commands leave.
__certain() {
  command -v setsid >/dev/null && __stat "/proc/$$" || return 1
  __ours=$__o __since=$__y
  __marked=$(grep -ls SERVER_COMMAND= /proc/[0-9]*/environ 2>/dev/null)
  for __f in /proc/[0-9]*; do
    case $__marked in *"$__f/environ"*) continue ;; esac
    __stat "$__f" || return 1
    [ "$__a" = Z ] || [ "$__o" = "$__ours" ] || [ "$__y" -lt "$__since" ] || return 1
  done
}
__whole() {
  [ -z "$__l" ] || return 1
  [ -z "$__g" ] || return 0
  # One that was never seen may not have become itself yet.
  [ -n "$__seen" ] || return 1
  for __n in 1 2 3 4 5; do
    __certain && return 0
  done
  return 1
}
__end() {
  trap '' TERM
  __say D
  __left
  __seen=$__l
  kill $__l 2>/dev/null
  __n=0
  while [ -n "$__l" ] && [ "$__n" -lt 10 ]; do
    sleep 0.1 2>/dev/null || sleep 1
    __left
    __n=$((__n + 1))
  done
  __n=0
  while [ -n "$__l" ] && [ "$__n" -lt 50 ]; do
    [ ! -f "$__g/cgroup.kill" ] || echo 1 >"$__g/cgroup.kill"
    kill -9 $__l 2>/dev/null
    sleep 0.1 2>/dev/null || sleep 1
    __left
    __n=$((__n + 1))
  done
  if __whole; then __say W 1; else __say W 0; fi
  [ -z "$__g" ] || rmdir "$__g" 2>/dev/null
}
# Hands the command its input, and ends it when its time is up or the connection is.
__feed() {
  exec 4>&-
  trap 'kill $__p $__q $! 2>/dev/null; exit' TERM
  read -r __x __rest </proc/self/stat
  echo "$__x"
  sleep "$__s" >/dev/null 2>&1 3<&- &
  __p=$!
  {
    [ "$__b" -eq 0 ] || head -c "$__b" <&3
    exec >/dev/null
    cat <&3
    kill "$__p"
  } 2>/dev/null &
  __q=$!
  exec >/dev/null 3<&-
  wait "$__p" 2>/dev/null
  __end
}
__command() {
  exec 3<&- 4>&- 5<&-
  [ -z "$__g" ] || { echo 0 >"$__g/cgroup.procs"; } 2>/dev/null || __say G
  unset LC_ALL PWD OLDPWD SHLVL _
  export SERVER_COMMAND="$__i"
  __environment
  command -v "$1" >/dev/null || {
    __say N
    exit 127
  }
  if command -v setsid >/dev/null; then exec setsid "$@"; fi
  exec "$@"
}
__go() {
  exec 3<&-
  read -r __w
  # What runs beside a shell finds an empty input, unless it is told otherwise.
  exec 5<&0 </dev/null
  __command "$@" <&5 &
  __c=$!
  exec 5<&-
  wait "$__c" 2>/dev/null
  __r=$?
  kill "$__w" 2>/dev/null
  # Fails where something of the command goes on; then those that others left so are tried.
  [ -z "$__g" ] || rmdir "$__g" 2>/dev/null || rmdir "${__g%/*}"/prov-ssh-* 2>/dev/null
  echo "$__t"
  __say S "$__r"
}
__say B
{ { __feed | __go "$@"; } 2>&1 >&4 | __drain >&2; } 4>&1 | __drain
