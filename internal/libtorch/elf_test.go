package libtorch

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"
)

// elfFile describes a shared library with nothing in it but what the installer reads.
type elfFile struct {
	machine elf.Machine // 0 means x86-64
	oldABI  bool        // std::string as before GCC 5
	needed  []string    // DT_NEEDED
	rpath   string      // DT_RPATH
	glibc   string      // version that a symbol of libc.so.6 carries; "" means none
}

// bytes lays the library out: header, .dynstr, .dynsym, .dynamic, .gnu.version_r, section headers.
func (e elfFile) bytes() string {
	if e.machine == 0 {
		e.machine = elf.EM_X86_64
	}
	symbol := "_ZN3c105ErrorC1ENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
	if e.oldABI {
		symbol = "_ZN3c105ErrorC1ESs"
	}
	strings := stringTable{data: []byte{0}}
	le := binary.LittleEndian
	var symbols, dynamic, versions bytes.Buffer
	put := func(b *bytes.Buffer, v any) { _ = binary.Write(b, le, v) } // a bytes.Buffer takes everything
	put(&symbols, elf.Sym64{})
	put(&symbols, elf.Sym64{Name: strings.add(symbol), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1})
	for _, name := range e.needed {
		put(&dynamic, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: uint64(strings.add(name))})
	}
	if e.rpath != "" {
		put(&dynamic, elf.Dyn64{Tag: int64(elf.DT_RPATH), Val: uint64(strings.add(e.rpath))})
	}
	put(&dynamic, elf.Dyn64{})
	if e.glibc != "" { // Verneed with one Vernaux
		put(&versions, []uint16{1, 1})
		put(&versions, []uint32{strings.add("libc.so.6"), 16, 0})
		put(&versions, []uint32{0})
		put(&versions, []uint16{0, 2})
		put(&versions, []uint32{strings.add(e.glibc), 0})
	}
	names := stringTable{data: []byte{0}}
	sections := []struct {
		elf.Section64
		content []byte
	}{
		{},
		{elf.Section64{Name: names.add(".dynstr"), Type: uint32(elf.SHT_STRTAB)}, strings.data},
		{elf.Section64{Name: names.add(".dynsym"), Type: uint32(elf.SHT_DYNSYM), Link: 1, Entsize: elf.Sym64Size}, symbols.Bytes()},
		{elf.Section64{Name: names.add(".dynamic"), Type: uint32(elf.SHT_DYNAMIC), Link: 1, Entsize: 16}, dynamic.Bytes()},
		{elf.Section64{Name: names.add(".gnu.version_r"), Type: uint32(elf.SHT_GNU_VERNEED), Link: 1, Info: 1}, versions.Bytes()},
		{elf.Section64{Name: names.add(".gnu.version"), Type: uint32(elf.SHT_GNU_VERSYM), Link: 2, Entsize: 2}, []byte{0, 0, 2, 0}},
		{elf.Section64{Name: names.add(".shstrtab"), Type: uint32(elf.SHT_STRTAB)}, nil},
	}
	sections[len(sections)-1].content = names.data
	if e.glibc == "" {
		sections = slices.Delete(sections, 4, 6)
	}
	const headerSize = 64
	var body, table bytes.Buffer
	for _, s := range sections {
		s.Off, s.Size = uint64(headerSize+body.Len()), uint64(len(s.content))
		body.Write(s.content)
		put(&table, s.Section64)
	}
	var out bytes.Buffer
	put(&out, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(e.machine), Version: 1, Shoff: uint64(headerSize + body.Len()),
		Ehsize: headerSize, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	})
	return out.String() + body.String() + table.String()
}

// stringTable is an ELF string table: names ended by zero bytes.
type stringTable struct{ data []byte }

func (s *stringTable) add(name string) uint32 {
	at := len(s.data)
	s.data = append(append(s.data, name...), 0)
	return uint32(at)
}
