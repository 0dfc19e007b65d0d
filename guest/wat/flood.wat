;; flood: appends 64 KiB to its reply, again and again.
;;
;; Must happen: the job ends in OutputLimit as soon as the limit is passed, and nothing holds more than the limit
;; (and one piece) at any time.
(module
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (memory (export "memory") 1 1)
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (loop $forever
      (call $output_write (i32.const 0) (i32.const 65536))
      (br $forever))
    unreachable))
