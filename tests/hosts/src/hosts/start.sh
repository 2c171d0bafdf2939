# Prints the system calls that a runtime makes between loading the filter and executing the program: sh -c SCRIPT RUNTIME...
strace --follow-forks --output trace "$0" "$@" >/dev/null
id=$(sed -n 's,^\([0-9]*\) *execve("/pause".*,\1,p' trace)
filter='PR_SET_SECCOMP\|SECCOMP_SET_MODE_FILTER, [^,]*, {'
sed -n "/^$id .*\($filter\)/,/^$id .*execve(/p" trace | sed -n "/$filter/d; s/^$id *\([a-z0-9_]*\)(.*/\1/p" | sort -u
