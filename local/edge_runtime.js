// What the runtime of CloudFront Functions offers beside the language: two modules, Buffer and console.
// `__host` is given by the engine; values pass it as text, bytes in hexadecimal. Text that was added up with `+` does
// not pass when it is long: `String` makes one piece of it.
(function () {
  'use strict';
  var host = globalThis.__host;
  delete globalThis.__host;

  function bytes(hex) {
    var found = new Buffer(hex.length / 2);
    for (var i = 0; i < found.length; i++) {
      found[i] = parseInt(hex.substr(2 * i, 2), 16);
    }
    return found;
  }

  // Not left to the host, to which text ends at a zero.
  function utf8(text) {
    return hexOf(Uint8Array.from(unescape(encodeURIComponent(text)), function (char) {
      return char.charCodeAt(0);
    }));
  }

  function hexOf(data) {
    if (typeof data === 'string') {
      return utf8(data);
    }
    if (!(data instanceof Uint8Array)) {
      throw new TypeError('neither a string nor bytes');
    }
    return Array.prototype.map.call(data, function (byte) {
      return (byte < 16 ? '0' : '') + byte.toString(16);
    }).join('');
  }

  function known(encoding) {
    var name = encoding === undefined ? 'utf8' : String(encoding).replace('utf-8', 'utf8');
    if (['utf8', 'hex', 'base64', 'base64url'].indexOf(name) < 0) {
      throw new TypeError('"' + encoding + '" encoding is not supported');
    }
    return name;
  }

  class Buffer extends Uint8Array {
    static from(value, encoding) {
      if (typeof value === 'string') {
        var name = known(encoding);
        return bytes(name === 'utf8' ? utf8(value) : host.toHex(String(value), name));
      }
      return super.from.call(Buffer, value);
    }

    static alloc(size) {
      return new Buffer(size);
    }

    static concat(parts) {
      return bytes(parts.map(hexOf).join(''));
    }

    equals(other) {
      return hexOf(this) === hexOf(other);
    }

    toString(encoding) {
      return host.fromHex(hexOf(this), known(encoding));
    }
  }
  globalThis.Buffer = Buffer;

  function hash(algorithm, key) {
    if (['md5', 'sha1', 'sha256'].indexOf(algorithm) < 0) {
      throw new TypeError('not supported algorithm: "' + algorithm + '"');
    }
    var data = '';
    return {
      update: function (more) {
        data += hexOf(more);
        return this;
      },
      digest: function (encoding) {
        var found = bytes(host.digest(algorithm, key, String(data)));
        return encoding === undefined ? found : found.toString(encoding);
      },
    };
  }

  // Answers of the store come while the function waits for them.
  var waiting = {};
  var count = 0;

  function ask(operation, key) {
    return new Promise(function (resolve, reject) {
      count += 1;
      waiting[count] = { resolve: resolve, reject: reject };
      host.ask(count, operation, String(key));
    });
  }

  globalThis.__modules = {
    crypto: {
      createHash: function (algorithm) {
        return hash(algorithm, null);
      },
      createHmac: function (algorithm, key) {
        return hash(algorithm, hexOf(key));
      },
    },
    cloudfront: {
      kvs: function () {
        if (!host.hasStore()) {
          throw new Error('no KeyValueStore is associated with the function');
        }
        return {
          get: function (key, options) {
            return ask('get', key).then(function (value) {
              var format = options && options.format ? options.format : 'string';
              return format === 'json' ? JSON.parse(value) : format === 'bytes' ? Buffer.from(value) : value;
            });
          },
          exists: function (key) {
            return ask('exists', key);
          },
          count: function () {
            return ask('count', '');
          },
        };
      },
    },
  };

  globalThis.console = {
    log: function () {
      host.log(Array.prototype.map.call(arguments, String).join(' '));
    },
  };
  globalThis.console.error = globalThis.console.log;

  function settle(number, answer) {
    var asked = waiting[number];
    var parsed = JSON.parse(answer);
    delete waiting[number];
    if ('error' in parsed) {
      asked.reject(new Error(parsed.error));
    } else {
      asked.resolve(parsed.value);
    }
  }

  function call(handler, text) {
    var event = JSON.parse(text);
    var raw = event.request.rawQueryString;
    delete event.request.rawQueryString;
    Object.defineProperty(event.request, 'rawQueryString', {
      value: function () {
        return raw === null ? undefined : raw;
      },
    });
    new Promise(function (resolve) {
      resolve(handler(event));
    }).then(
      function (value) {
        host.done(JSON.stringify({ value: value }));
      },
      function (error) {
        host.done(JSON.stringify({ error: String(error) }));
      }
    );
  }

  // With a handler it is called with the event, with a number what was asked for is answered.
  return function (target, text) {
    (typeof target === 'function' ? call : settle)(target, text);
  };
})();
