import Testing

@testable import EngineNative

/// For how long nothing has needed an image.
@Suite struct UnneededImagesTests {
    @Test func timeIsCountedWhileADaemonSeesIt() {
        var images = UnneededImages()
        let start = ContinuousClock.now
        #expect(images.look(at: start) == .zero)
        // The first time it is seen is written down, so that the next daemon goes on from there.
        #expect(images.note("a", stored: nil, passed: .zero) == .zero && images.times["a"] == .zero)
        for minute in 1...59 {
            let passed = images.look(at: start + .seconds(60 * minute))
            #expect(passed == .seconds(60) && images.note("a", stored: nil, passed: passed) == nil)
        }
        #expect(images.note("a", stored: nil, passed: .seconds(60)) == .seconds(3600) && images.times["a"] == .seconds(3600))
        #expect(images.note("a", stored: nil, passed: .seconds(60)) == nil)
        // Needed, and not again: it begins anew.
        #expect(images.forget("a") && !images.forget("a") && images.note("a", stored: nil, passed: .seconds(60)) == .zero)
        #expect(images.times["a"] == .zero)
        // What an earlier daemon counted.
        #expect(images.note("b", stored: .seconds(7200), passed: .seconds(60)) == nil && images.times["b"] == .seconds(7200))
    }
}
