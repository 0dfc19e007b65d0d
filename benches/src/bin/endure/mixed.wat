;; What its input's first byte says:
;;   e  replies with the rest
;;   m  posts the rest in two halves, then replies with all messages that it receives
;;   t  traps            g  asks for memory until it is denied, and traps
;;   l  loops for ever   f  writes output for ever
;;   p  posts one byte, and replies with it
;;   k  posts one byte, and loops for ever
(module
  (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (import "cofferdam" "post" (func $post (param i32 i32)))
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "cofferdam_abi_1"))

  (func $is (param $letter i32) (result i32)
    (i32.eq (i32.load8_u (i32.const 0)) (local.get $letter)))

  (func (export "handle") (result i32)
    (local $rest i32) (local $half i32) (local $got i32)
    (local.set $rest
      (i32.sub (call $input_read (i32.const 0) (i32.const 0) (i32.const 65536)) (i32.const 1)))
    (if (call $is (i32.const 0x65)) ;; e
      (then (call $output_write (i32.const 1) (local.get $rest)) (return (i32.const 0))))
    (if (call $is (i32.const 0x6d)) ;; m
      (then
        (local.set $half (i32.shr_u (local.get $rest) (i32.const 1)))
        (call $post (i32.const 1) (local.get $half))
        (call $post (i32.add (i32.const 1) (local.get $half)) (i32.sub (local.get $rest) (local.get $half)))
        (loop $more
          (local.set $got (call $recv (i32.const 65536) (i32.const 65536) (i32.const -1)))
          (if (i32.eq (local.get $got) (i32.const -2)) (then (return (i32.const 0))))
          (call $output_write (i32.const 65536) (local.get $got))
          (br $more))))
    (if (call $is (i32.const 0x6c)) ;; l
      (then (loop $forever (br $forever))))
    (if (call $is (i32.const 0x67)) ;; g
      (then (loop $more
        (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
    (if (call $is (i32.const 0x66)) ;; f
      (then (loop $more (call $output_write (i32.const 0) (i32.const 65536)) (br $more))))
    (if (call $is (i32.const 0x70)) ;; p
      (then
        (call $post (i32.const 0) (i32.const 1))
        (call $output_write (i32.const 0) (i32.const 1))
        (return (i32.const 0))))
    (if (call $is (i32.const 0x6b)) ;; k
      (then (call $post (i32.const 0) (i32.const 1)) (loop $forever (br $forever))))
    unreachable))
