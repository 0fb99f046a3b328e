// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Job files come from anywhere. Libyaml's events are read one by one and bounded: what composes them to trees follows
// aliases without an end. `dgen_mpi.jobs.files` in Python has the same rules; a test feeds both.

// Libyaml as the package Yams brings it.
internal import CYaml

/// What a YAML file says: texts, and lists and mappings of them.
indirect enum YAML {
    /// A text as it is written; null where it stands for nothing.
    case scalar(String, isNull: Bool)
    case list([YAML])
    case mapping([Entry])

    /// A key of a mapping, the line where it stands, and what stands beside it.
    struct Entry {
        let key: String
        let line: Int
        let value: YAML
    }

    var text: String? {
        guard case .scalar(let text, _) = self else { return nil }
        return text
    }

    var isNull: Bool {
        guard case .scalar(_, let isNull) = self else { return false }
        return isNull
    }

    /// How deep lists and mappings may be nested.
    static let depthMax = 32
    /// The most texts, lists and mappings, aliases followed.
    static let nodesMax = 100_000
    /// The most bytes of all texts, aliases followed.
    static let bytesMax = 1 << 20

    /// Reads one document without directives and tags, of a file that messages call `name`; nil where it says nothing.
    ///
    /// - Complexity: O(length of `text`), whatever its aliases stand for.
    static func read(_ text: String, name: String) throws(Failure) -> YAML? {
        let bytes = try checked(text, name: name)
        guard !bytes.isEmpty else { return nil }
        return try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
            let events = try Events(bytes, name: name)
            defer { events.close() }
            var reader = Reader(events: events)
            return try reader.document()
        }
    }

    /// The bytes that are parsed: without a byte order mark, and of characters that every parser takes for the same.
    private static func checked(_ text: String, name: String) throws(Failure) -> [UInt8] {
        var scalars = text.unicodeScalars[...]
        if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
        var line = 1
        var before: Unicode.Scalar = "\n"
        for scalar in scalars {
            if before == "\n" || before == "\r", scalar == "%" {
                throw Failure(.usage, "\(name):\(line): directives, as '%YAML', are not accepted")
            }
            switch scalar.value {
            case 0x0A where before == "\r": break
            case 0x0A, 0x0D: line += 1
            case 0x09, 0x20...0x7E, 0xA0...0x2027, 0x202A...0xD7FF, 0xE000...0xFEFE,
                0xFF00...0xFFFD, 0x10000...0x10FFFF:
                break
            default:
                let code = String(scalar.value, radix: 16, uppercase: true)
                let digits = String(repeating: "0", count: max(0, 4 - code.count)) + code
                throw Failure(
                    .usage,
                    "\(name):\(line): the character U+\(digits) is not accepted; in double quotes it has an escape"
                )
            }
            before = scalar
        }
        return Array(String(scalars).utf8)
    }
}

/// What libyaml tells of a text, step by step.
private struct Events {
    struct Event {
        let type: yaml_event_type_t
        let line: Int
        /// Of a scalar, or the name of an alias.
        var text = ""
        var isPlain = false
        /// What aliases call it.
        var anchor: String?
        var hasTag = false
    }

    let name: String
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    /// Begins with `bytes`, some at least, which stay where they are until ``close()``.
    init(_ bytes: UnsafeBufferPointer<UInt8>, name: String) throws(Failure) {
        self.name = name
        parser = .allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw Failure(.inputOutput, "\(name): no memory to read it")
        }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    func close() {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// The next event; none follow the end of the stream.
    func next() throws(Failure) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw complaint }
        defer { yaml_event_delete(&event) }
        func text(_ start: UnsafeMutablePointer<yaml_char_t>?, _ count: Int? = nil) -> String? {
            guard let start else { return nil }
            let count = count ?? String(cString: start).utf8.count
            return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
        }
        var told = Event(type: event.type, line: event.start_mark.line + 1)
        switch event.type {
        case YAML_ALIAS_EVENT: told.text = text(event.data.alias.anchor) ?? ""
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            told.text = text(scalar.value, scalar.length) ?? ""
            told.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            // Some versions pass over the tag '!' of a text themselves.
            (told.anchor, told.hasTag) = (text(scalar.anchor), text(scalar.tag) ?? "!" != "!")
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            (told.anchor, told.hasTag) = (text(start.anchor), start.tag != nil)
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            (told.anchor, told.hasTag) = (text(start.anchor), start.tag != nil)
        default: break
        }
        return told
    }

    /// What libyaml says is wrong, in one line.
    private var complaint: Failure {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "no memory"
        return Failure(
            .usage,
            "\(name):\(parser.pointee.problem_mark.line + 1): not readable as YAML: \(problem)")
    }
}

/// Makes a tree of events, within bounds.
private struct Reader {
    private typealias Event = Events.Event

    /// A part of the tree, and what it amounts to with all aliases followed.
    private struct Part {
        var value: YAML
        var nodes = 1
        var bytes = 0
        /// How deep lists and mappings are nested in it.
        var height = 0

        mutating func add(_ element: Part) {
            nodes += element.nodes
            bytes += element.bytes
            height = max(height, element.height + 1)
        }
    }

    private let events: Events
    private var anchors: [[UInt8]: Part] = [:]
    private var nodes = 0
    private var bytes = 0

    init(events: Events) { self.events = events }

    mutating func document() throws(Failure) -> YAML? {
        _ = try events.next()
        guard try events.next().type == YAML_DOCUMENT_START_EVENT else { return nil }
        let root = try part(try events.next(), depth: 0)
        _ = try events.next()
        let end = try events.next()
        guard end.type == YAML_STREAM_END_EVENT else {
            throw refusal(end, "a second document; give one")
        }
        return root.value
    }

    private func refusal(_ event: Event, _ reason: String) -> Failure {
        Failure(.usage, "\(events.name):\(event.line): \(reason)")
    }

    /// The part of the tree that begins with an event, inside of `depth` lists and mappings.
    private mutating func part(_ event: Event, depth: Int) throws(Failure) -> Part {
        guard !event.hasTag else {
            throw refusal(
                event, "tags, as '!!int', are not accepted; values are as they are written")
        }
        let part: Part
        switch event.type {
        case YAML_ALIAS_EVENT:
            guard let known = anchors[Array(event.text.utf8)] else {
                throw refusal(event, "the alias '*\(event.text)' stands for nothing before it")
            }
            part = known
            try count(part, event)
        case YAML_SCALAR_EVENT:
            let text = event.text
            guard !text.utf8.contains(0) else { throw refusal(event, "a NUL in a text") }
            let isNull = event.isPlain && ["", "~", "null", "Null", "NULL"].contains(text)
            part = Part(value: .scalar(text, isNull: isNull), bytes: text.utf8.count)
            try count(part, event)
        case YAML_SEQUENCE_START_EVENT:
            try count(Part(value: .list([])), event)
            part = try list(depth: depth, event)
        case YAML_MAPPING_START_EVENT:
            try count(Part(value: .mapping([])), event)
            part = try mapping(depth: depth, event)
        default: throw refusal(event, "nothing where a value should be")
        }
        try requireShallow(depth + part.height, event)
        if let anchor = event.anchor {
            guard anchors.updateValue(part, forKey: Array(anchor.utf8)) == nil else {
                throw refusal(event, "the anchor '&\(anchor)' is there twice")
            }
        }
        return part
    }

    private mutating func count(_ part: Part, _ event: Event) throws(Failure) {
        nodes += part.nodes
        bytes += part.bytes
        guard nodes <= YAML.nodesMax, bytes <= YAML.bytesMax else {
            throw refusal(
                event,
                "more than \(YAML.nodesMax) values or \(YAML.bytesMax) bytes, aliases followed")
        }
    }

    private func requireShallow(_ depth: Int, _ event: Event) throws(Failure) {
        guard depth <= YAML.depthMax else {
            throw refusal(event, "lists and mappings are nested more than \(YAML.depthMax) deep")
        }
    }

    private mutating func list(depth: Int, _ start: Event) throws(Failure) -> Part {
        try requireShallow(depth + 1, start)
        var elements: [YAML] = []
        var whole = Part(value: .list([]), height: 1)
        while true {
            let event = try events.next()
            if event.type == YAML_SEQUENCE_END_EVENT { break }
            let element = try part(event, depth: depth + 1)
            elements.append(element.value)
            whole.add(element)
        }
        whole.value = .list(elements)
        return whole
    }

    private mutating func mapping(depth: Int, _ start: Event) throws(Failure) -> Part {
        try requireShallow(depth + 1, start)
        var entries: [YAML.Entry] = []
        var keys: Set<[UInt8]> = []
        var whole = Part(value: .mapping([]), height: 1)
        while true {
            let event = try events.next()
            if event.type == YAML_MAPPING_END_EVENT { break }
            guard event.type == YAML_SCALAR_EVENT else {
                throw refusal(event, "an option's name must be a word")
            }
            let key = event.text
            guard !event.isPlain || key != "<<" else {
                throw refusal(event, "merge keys (<<) are not accepted")
            }
            guard keys.insert(Array(key.utf8)).inserted else {
                throw refusal(event, "'\(key)' is there twice")
            }
            whole.add(try part(event, depth: depth + 1))
            let value = try part(try events.next(), depth: depth + 1)
            whole.add(value)
            entries.append(YAML.Entry(key: key, line: event.line, value: value.value))
        }
        whole.value = .mapping(entries)
        return whole
    }
}
