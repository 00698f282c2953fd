<?php
// Plain data between the test's process and the answer's, as JSON that keeps what JSON alone would lose.
namespace Daybreak;

class NotPlain extends \Exception {}

function encode($value, int $depth = 0) {
    if ($depth > 200) throw new NotPlain('nested too deeply, or within itself');
    if ($value === null || is_bool($value) || is_int($value)) return $value;
    if (is_float($value)) return ['$' => 'float', 'v' => is_nan($value) ? 'NaN' : (is_infinite($value) ? ($value > 0 ? 'INF' : '-INF') : var_export($value, true))];
    if (is_string($value)) return preg_match('//u', $value) ? $value : ['$' => 'bytes', 'v' => base64_encode($value)];
    if (is_array($value)) {
        $pairs = [];
        foreach ($value as $key => $each) $pairs[] = [$key, encode($each, $depth + 1)];
        return ['$' => 'array', 'v' => $pairs];
    }
    if ($value instanceof \stdClass) return ['$' => 'object', 'v' => encode((array) $value, $depth + 1)];
    if ($value instanceof \Traversable) throw new NotPlain('a generator or iterator is not plain data');
    throw new NotPlain('a ' . get_debug_type($value) . ' is not plain data');
}

function decode($document) {
    if (!is_array($document)) return $document;
    $content = $document['v'] ?? null;
    switch ($document['$'] ?? '') {
        case 'float': return ['NaN' => NAN, 'INF' => INF, '-INF' => -INF][$content] ?? (float) $content;
        case 'bytes': return base64_decode($content);
        case 'array':
            $result = [];
            foreach ($content as [$key, $each]) $result[$key] = decode($each);
            return $result;
        case 'object': return (object) decode($content);
    }
    throw new NotPlain('not plain data');
}

final class Pipes {
    public static $in;
    public static $out;
}
Pipes::$in = fopen('php://fd/3', 'rb');
Pipes::$out = fopen('php://fd/4', 'wb');
stream_set_write_buffer(Pipes::$out, 0);

function send(array $document): void {
    $data = json_encode($document, JSON_THROW_ON_ERROR, 1024);
    $data = pack('V', strlen($data)) . $data;
    while ($data !== '') {
        $count = fwrite(Pipes::$out, $data);
        if ($count === false || $count === 0) exit(3);
        $data = substr($data, $count);
    }
}

function exactly(int $size): ?string {
    $data = '';
    while (strlen($data) < $size) {
        $block = fread(Pipes::$in, $size - strlen($data));
        if ($block === false || $block === '') return null;
        $data .= $block;
    }
    return $data;
}

function receive(): ?array {
    $head = exactly(4);
    if ($head === null) return null;
    $size = unpack('V', $head)[1];
    if ($size > 64 << 20) return null;
    $data = exactly($size);
    return $data === null ? null : json_decode($data, true, 1024);
}
