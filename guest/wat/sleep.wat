;; sleep: waits for messages, a second at a time, drops them, and never comes to an end.
;;
;; Must happen: with an open inbox the job blocks inside the host, where no epoch and no fuel reaches it, and ends in
;; Deadline nevertheless. With a closed one `recv` answers at once, so the guest spins through the host: Deadline, too.
(module
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1 1)
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (loop $forever
      (drop (call $recv (i32.const 0) (i32.const 65536) (i32.const 1000)))
      (br $forever))
    unreachable))
