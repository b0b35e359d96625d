# sshuttle's rules: its firewall manager, spoken to as the client process speaks to it, with the methods nat and tproxy.
. /mnt/cases/steps
has /mnt/python/bin/sshuttle 'PyPI sshuttle'
# manage METHOD UDP: the firewall process with this method's rules, held until told to go on
manage() {
  local method=$1 udp=$2
  mkfifo /tmp/to
  /mnt/python/bin/python -m sshuttle --method "$method" --firewall </tmp/to >/tmp/from 2>/tmp/said &
  exec 7>/tmp/to
  cat >&7 <<TALK
ROUTES
2,24,0,192.0.2.0,0,0
2,32,1,192.0.2.9,0,0
2,16,0,10.3.0.0,8000,9000
10,64,0,2001:db8::,0,0
10,128,1,2001:db8::9,0,0
NSLIST
2,9.9.9.9
10,2001:db8::53
PORTS 12301,12300,1053,1054
GO $udp - - 0x01 $$
TALK
  for _ in $(seq 100); do
    ! grep -q STARTED /tmp/from || break
    sleep 0.1
  done
  sed 's/[0-9]\{5,\}//g' /tmp/from /tmp/said
}
release() {
  exec 7>&-
  wait
  rm /tmp/to
  cat /tmp/from /tmp/said
}
step manage nat 0
rule '--to-ports 12300'
step release
step manage tproxy 1
rule '--on-port 12301'
step release
