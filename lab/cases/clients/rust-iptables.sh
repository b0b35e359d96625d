# The Rust crate iptables: every method, where it succeeds and where it fails.
. /mnt/cases/steps
has /mnt/bin/lab-rust-iptables 'the lab itself'
for family in 4 6; do
  call() { /mnt/bin/lab-rust-iptables "$family" "$@"; }
  step call new_chain nat ours
  step call new_chain nat ours
  step call chain_exists nat ours
  said true
  step call chain_exists nat NOPE
  step call append nat ours '-p tcp --dport 80 -m comment --comment "with blanks" -j ACCEPT'
  step call append_unique nat ours '-p tcp --dport 80 -m comment --comment "with blanks" -j ACCEPT'
  step call exists nat ours '-p tcp --dport 80 -m comment --comment "with blanks" -j ACCEPT'
  said true
  step call exists nat ours '-p udp -j ACCEPT'
  said false
  step call exists nat NOPE '-j ACCEPT'
  step call insert nat ours '-p udp -j RETURN' 1
  step call insert_unique nat ours '-p udp -j RETURN' 1
  step call insert nat ours '-j RETURN' 9
  step call replace nat ours '-p udp --sport 53 -j RETURN' 1
  step call append_replace nat ours '-p udp --sport 53 -j RETURN'
  step call append nat ours '-j MASQUERADE'
  step call append nat ours '-j MASQUERADE'
  step call delete_all nat ours '-j MASQUERADE'
  step call append nat POSTROUTING '-j ours'
  step call list nat ours
  step call list nat NOPE
  step call list_table nat
  step call list_chains nat
  step call execute nat '-nvL ours'
  step call delete_chain nat ours
  step call rename_chain nat ours others
  step call delete nat POSTROUTING '-j others'
  step call delete nat POSTROUTING '-j others'
  step call flush_chain nat others
  step call delete_chain nat others
  step call delete_chain nat others
  step call set_policy mangle FORWARD DROP
  step call get_policy mangle FORWARD
  said DROP
  step call get_policy mangle NOPE
  step call set_policy filter NOPE DROP
  step call flush_table mangle
  step call append bogus INPUT '-j DROP'
done
