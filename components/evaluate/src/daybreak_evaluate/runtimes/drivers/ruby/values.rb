# Plain data between the test's process and the answer's, as JSON that keeps what JSON alone would lose.
require 'json'
require 'set'

module Daybreak
  class NotPlain < StandardError; end
  REQUESTS = IO.for_fd(3, 'rb', autoclose: false)
  REPLIES = IO.for_fd(4, 'wb', autoclose: false)
  REPLIES.sync = true

  def self.encode(value, depth = 0)
    raise NotPlain, 'nested too deeply, or within itself' if depth > 200
    case value
    when nil, true, false, Integer then value
    when Float then value.finite? ? { '$' => 'float', 'v' => value.to_s } : { '$' => 'float', 'v' => value.to_s }
    when String then value.encoding == Encoding::UTF_8 && value.valid_encoding? ? value : { '$' => 'bytes', 'v' => [value].pack('m0'), 'e' => value.encoding.name }
    when Symbol then { '$' => 'symbol', 'v' => value.to_s }
    when Array then value.map { |each| encode(each, depth + 1) }
    when Hash then { '$' => 'hash', 'v' => value.map { |key, each| [encode(key, depth + 1), encode(each, depth + 1)] } }
    when Set then { '$' => 'set', 'v' => value.map { |each| encode(each, depth + 1) } }
    when Range then { '$' => 'range', 'v' => [encode(value.begin, depth + 1), encode(value.end, depth + 1), value.exclude_end?] }
    when Rational then { '$' => 'rational', 'v' => [value.numerator, value.denominator] }
    else raise NotPlain, "a #{value.class} is not plain data"
    end
  end

  def self.decode(document)
    case document
    when Array then document.map { |each| decode(each) }
    when Hash
      content = document['v']
      case document['$']
      when 'float' then { 'NaN' => Float::NAN, 'Infinity' => Float::INFINITY, '-Infinity' => -Float::INFINITY }.fetch(content) { Float(content) }
      when 'bytes' then content.unpack1('m0').force_encoding(document['e'])
      when 'symbol' then content.to_sym
      when 'hash' then content.to_h { |key, each| [decode(key), decode(each)] }
      when 'set' then Set.new(content.map { |each| decode(each) })
      when 'range' then Range.new(decode(content[0]), decode(content[1]), content[2] == true)
      when 'rational' then Rational(content[0], content[1])
      else raise NotPlain, 'not plain data'
      end
    else document
    end
  end

  def self.send_document(document)
    data = JSON.generate(document).b
    REPLIES.write([data.bytesize].pack('V') + data)
  end

  def self.receive
    head = REQUESTS.read(4)
    return nil if head.nil? || head.bytesize < 4
    size = head.unpack1('V')
    raise "a message of #{size} bytes" if size > 64 << 20
    data = REQUESTS.read(size)
    return nil if data.nil? || data.bytesize < size
    JSON.parse(data.force_encoding('UTF-8'), create_additions: false, max_nesting: 1000)
  end
end
