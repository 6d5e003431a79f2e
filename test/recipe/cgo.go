// Go: memory of C that a program has made by cgo is destroyed by the library's worker, not by a goroutine, which
// would block a thread of Go's for it. A destructor is a function of C.
//
//	go run cgo.go
package main

/*
#cgo pkg-config: defer_drop
#include <defer_drop.h>
#include <stdlib.h>

static int drop(void *object)
{
	return defer_drop(object, free);
}
*/
import "C"

import (
	"fmt"
	"log"
)

func main() {
	for i := 0; i < 1000; i++ {
		object := C.malloc(1 << 20)
		if result := C.drop(object); result != 0 {
			C.free(object)
			log.Fatal("defer_drop: ", result)
		}
	}
	if result := C.defer_drop_flush(); result != 0 {
		log.Fatal("defer_drop_flush: ", result)
	}
	fmt.Println("all is destroyed")
}
