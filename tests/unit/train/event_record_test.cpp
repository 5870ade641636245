// The bytes below are those that TensorFlow's own writers make of the same events.
#include "train/event_record.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/unit/train/event_reader.h"

namespace {

std::string bytes(std::initializer_list<int> values) {
    std::string text;
    for (const int value : values) text += static_cast<char>(value);
    return text;
}

const std::string one_and_a_half = bytes({0x09, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F});  // wall_time

// A file of scalar events at these steps.
std::string file_of(std::initializer_list<std::int64_t> steps) {
    std::string file = framed_record(version_event(1));
    for (const std::int64_t step : steps)
        file += framed_record(scalars_event(1, step, std::vector<Scalar>{{"loss", 0.25}}));
    return file;
}

}  // namespace

TEST_CASE("event record: CRC-32C has the published check values") {
    CHECK(crc32c("123456789") == 0xE3069283);
    CHECK(crc32c("") == 0);
    // RFC 3720, appendix B.4.
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
    CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
    std::string counting(32, '\0');
    std::iota(counting.begin(), counting.end(), '\0');
    CHECK(crc32c(counting) == 0x46DD794E);
}

TEST_CASE("event record: a frame holds length, data and the masked checksums of both") {
    CHECK(framed_record("abc") ==
          bytes({3, 0, 0, 0, 0, 0, 0, 0, 0xB0, 0x99, 0x49, 0x0E, 'a', 'b', 'c', 0x6E, 0x57, 0xF1, 0x21}));
}

TEST_CASE("event record: events are the protocol buffers that TensorFlow writes") {
    CHECK(version_event(1.5) == one_and_a_half + bytes({0x1A, 0x0D}) + "brain.Event:2");
    CHECK(session_start_event(1.5, 301) ==
          one_and_a_half + bytes({0x10, 0xAD, 0x02, 0x3A, 0x02, 0x08, 0x01}));
    CHECK(scalars_event(1.5, 300, std::vector<Scalar>{{"loss", 0.5}, {"a", 0}}) ==
          one_and_a_half +
              bytes({0x10, 0xAC, 0x02, 0x2A, 0x17, 0x0A, 0x0B, 0x0A, 0x04, 'l',  'o', 's', 's', 0x15,
                     0,    0,    0,    0x3F, 0x0A, 0x08, 0x0A, 0x01, 'a',  0x15, 0,   0,   0,   0}));
    CHECK(image_event(1.5, 300, {"samples", "PNG", 3, 200, 3}) ==
          one_and_a_half + bytes({0x10, 0xAC, 0x02, 0x2A, 0x19, 0x0A, 0x17, 0x0A, 0x07}) + "samples" +
              bytes({0x22, 0x0C, 0x08, 0xC8, 0x01, 0x10, 0x03, 0x18, 0x03, 0x22, 0x03}) + "PNG");
}

TEST_CASE("event record: large steps and long tags go through") {
    const std::string tag(200, 'x');
    const std::int64_t step = std::int64_t{1} << 40;
    const auto events =
        parse_events(framed_record(scalars_event(1e9, step, std::vector<Scalar>{{tag, -1e30}})));
    REQUIRE(events.size() == 1);
    CHECK(events[0].step == step);
    CHECK(events[0].wall_time == 1e9);
    CHECK(events[0].scalars.at(tag) == -1e30f);
}

TEST_CASE("event record: where the events after a step begin") {
    const std::string file = file_of({10, 20, 300, 400});
    CHECK(bytes_up_to_step(file, 0) == file_of({}).size());
    CHECK(bytes_up_to_step(file, 10) == file_of({10}).size());
    CHECK(bytes_up_to_step(file, 299) == file_of({10, 20}).size());
    CHECK(bytes_up_to_step(file, 300) == file_of({10, 20, 300}).size());
    CHECK(bytes_up_to_step(file, 400) == file.size());
    CHECK(bytes_up_to_step("", 5) == 0);
}

TEST_CASE("event record: what is no whole record is left alone, and so is what follows") {
    const std::string file = file_of({10, 20});
    for (std::size_t size = 0; size < file.size(); ++size) {
        const std::size_t kept = bytes_up_to_step(file.substr(0, size), 10);
        CHECK(kept == size);
    }
    // A damaged length, a damaged record.
    for (const std::size_t at : {file_of({}).size(), file_of({}).size() + 14}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        CHECK(bytes_up_to_step(damaged, 5) == file.size());
    }
    CHECK(bytes_up_to_step("something else that has the name of an event file", 0) == 49);
    // A length that no file has, with its right checksum.
    const std::string huge = framed_record("").replace(0, 8, std::string(8, '\xFF'));
    CHECK(bytes_up_to_step(huge, 0) == huge.size());
}
