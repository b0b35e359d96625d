# sshguard's iptables backend, by its own protocol: block, release and flush in both families, and its ipset sibling.
. /mnt/cases/steps
has /usr/libexec/sshguard/sshg-fw-iptables 'Debian sshguard'
for program in iptables ip6tables; do
  $program -N sshguard
  $program -A INPUT -p tcp -m multiport --dports 21,22,110,143 -j sshguard
done
tell() { printf '%s\n' "$@" | /usr/libexec/sshguard/sshg-fw-iptables; }
step tell 'block 192.0.2.7 4 32' 'block 198.51.100.0 4 24' 'block 2001:db8::7 6 128'
rule '-A sshguard -s 2001:db8::7/128 -j DROP'
step tell 'release 192.0.2.7 4 32' 'release 192.0.2.8 4 32' 'block 2001:db8:1:: 6 64'
step tell 'flush'
step tell 'block 192.0.2.9 4 32' 'flushonexit'
