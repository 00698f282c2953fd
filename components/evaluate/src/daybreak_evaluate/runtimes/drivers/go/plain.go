// Package plain carries plain data between the test's process and the answer's.
package plain

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
)

const limit = 64 << 20

var (
	requests = os.NewFile(3, "requests")
	replies  = os.NewFile(4, "replies")
)

func put(to []byte, value reflect.Value) []byte {
	switch value.Kind() {
	case reflect.Bool:
		if value.Bool() {
			return append(to, 1)
		}
		return append(to, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(to, value.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return binary.AppendUvarint(to, value.Uint())
	case reflect.Float32, reflect.Float64:
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(value.Float()))
	case reflect.Complex64, reflect.Complex128:
		to = binary.LittleEndian.AppendUint64(to, math.Float64bits(real(value.Complex())))
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(imag(value.Complex())))
	case reflect.String:
		return append(binary.AppendUvarint(to, uint64(value.Len())), value.String()...)
	case reflect.Array:
		for index := 0; index < value.Len(); index++ {
			to = put(to, value.Index(index))
		}
		return to
	case reflect.Slice:
		if value.IsNil() {
			return append(to, 0)
		}
		to = binary.AppendUvarint(to, uint64(value.Len())+1)
		for index := 0; index < value.Len(); index++ {
			to = put(to, value.Index(index))
		}
		return to
	case reflect.Map:
		if value.IsNil() {
			return append(to, 0)
		}
		to = binary.AppendUvarint(to, uint64(value.Len())+1)
		for each := value.MapRange(); each.Next(); {
			to = put(put(to, each.Key()), each.Value())
		}
		return to
	}
	panic("a " + value.Kind().String() + " is not plain data")
}

// reader panics where there is less than is said to be.
type reader struct{ rest []byte }

func (from *reader) cut(size int) []byte {
	head := from.rest[:size]
	from.rest = from.rest[size:]
	return head
}

// number steps over one whose size was found: none or less where it is cut off.
func (from *reader) number(size int) {
	if size <= 0 {
		panic("a broken answer")
	}
	from.cut(size)
}

func (from *reader) unsigned() uint64 {
	found, size := binary.Uvarint(from.rest)
	from.number(size)
	return found
}

func (from *reader) count() int {
	found := from.unsigned()
	if found > uint64(len(from.rest)) { // each element takes at least a byte
		panic("a broken answer")
	}
	return int(found)
}

func (from *reader) float() float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(from.cut(8)))
}

func (from *reader) take(value reflect.Value) {
	switch value.Kind() {
	case reflect.Bool:
		value.SetBool(from.cut(1)[0] != 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		found, size := binary.Varint(from.rest)
		from.number(size)
		value.SetInt(found)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		value.SetUint(from.unsigned())
	case reflect.Float32, reflect.Float64:
		value.SetFloat(from.float())
	case reflect.Complex64, reflect.Complex128:
		realPart := from.float()
		value.SetComplex(complex(realPart, from.float()))
	case reflect.String:
		value.SetString(string(from.cut(from.count())))
	case reflect.Array:
		for index := 0; index < value.Len(); index++ {
			from.take(value.Index(index))
		}
	case reflect.Slice:
		size := from.unsigned()
		if size == 0 {
			value.Set(reflect.Zero(value.Type()))
			return
		}
		if size-1 > uint64(len(from.rest)) {
			panic("a broken answer")
		}
		found := reflect.MakeSlice(value.Type(), int(size-1), int(size-1))
		for index := 0; index < found.Len(); index++ {
			from.take(found.Index(index))
		}
		value.Set(found)
	case reflect.Map:
		size := from.unsigned()
		if size == 0 {
			value.Set(reflect.Zero(value.Type()))
			return
		}
		found := reflect.MakeMap(value.Type())
		for ; size > 1; size-- {
			key, each := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
			from.take(key)
			from.take(each)
			found.SetMapIndex(key, each)
		}
		value.Set(found)
	default:
		panic("a " + value.Kind().String() + " is not plain data")
	}
}

func send(said []byte) bool {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(said)))
	_, err := replies.Write(append(head, said...))
	return err == nil && len(said) <= limit
}

func receive() ([]byte, bool) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(requests, head); err != nil {
		return nil, false
	}
	size := binary.LittleEndian.Uint32(head)
	if size > limit {
		return nil, false
	}
	heard := make([]byte, size)
	_, err := io.ReadFull(requests, heard)
	return heard, err == nil
}

func leave(status int, said string) {
	fmt.Fprintln(os.Stderr, said)
	os.Exit(status)
}

// Ask lets the answer's process call its function; arguments and results are pointers. A slice is changed in place.
func Ask(arguments, results []any) {
	var said []byte
	for _, each := range arguments {
		said = put(said, reflect.ValueOf(each).Elem())
	}
	if !send(said) {
		leave(3, "the program ended before its test was over")
	}
	heard, ok := receive()
	if !ok || len(heard) == 0 {
		leave(3, "the program ended before its test was over")
	}
	if heard[0] == 'E' {
		leave(4, string(heard[1:]))
	}
	defer func() {
		if recover() != nil {
			leave(3, "a broken answer")
		}
	}()
	from := reader{heard[1:]}
	for _, each := range results {
		from.take(reflect.ValueOf(each).Elem())
	}
	for _, each := range arguments {
		if value := reflect.ValueOf(each).Elem(); value.Kind() == reflect.Slice {
			after := reflect.New(value.Type()).Elem()
			from.take(after)
			reflect.Copy(value, after)
		}
	}
	if heard[0] != 'V' || len(from.rest) > 0 {
		leave(3, "a broken answer")
	}
}

// Serve answers calls of a function until there are no more.
func Serve(function any) {
	for {
		heard, ok := receive()
		if !ok || !send(reply(reflect.ValueOf(function), heard)) {
			return
		}
	}
}

func reply(function reflect.Value, heard []byte) (said []byte) {
	defer func() {
		if problem := recover(); problem != nil {
			said = append([]byte("E"), fmt.Sprint(problem)...)
		}
	}()
	from := reader{heard}
	arguments := make([]reflect.Value, function.Type().NumIn())
	for index := range arguments {
		arguments[index] = reflect.New(function.Type().In(index)).Elem()
		from.take(arguments[index])
	}
	said = []byte("V")
	for _, each := range function.Call(arguments) {
		said = put(said, each)
	}
	for _, each := range arguments {
		if each.Kind() == reflect.Slice {
			said = put(said, each)
		}
	}
	return said
}
